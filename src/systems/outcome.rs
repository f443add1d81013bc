//! What a reproduction came to: the papers' figures beside ours.

use serde::Serialize;

/// What makes a figure better than another of the same quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More: accuracies.
    More,
    /// Less: errors.
    Less,
    /// Neither: what counts is how near it is to the paper's.
    Nearer,
}

/// One row of a reproduction: the paper's figure beside ours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The system: `hebbian`.
    pub system: &'static str,
    /// What was trained, on what.
    pub experiment: String,
    /// What was measured, with its unit.
    pub quantity: String,
    /// Whether more of it is better.
    pub better: Better,
    /// The paper's figure, if it has one.
    pub paper: Option<f64>,
    /// Our mean over the runs, or their median where the quantity says so.
    pub ours: f64,
    /// Sample standard deviation over the runs, or half the interquartile range beside a median; 0 for one run.
    pub spread: f64,
    /// Every run's figure, in order of the seeds.
    pub runs: Vec<f64>,
    /// Time of all runs together, from where each began or went on; a hierarchy's from its beginning.
    pub seconds: f64,
}

impl Outcome {
    /// The outcome of these runs.
    #[doc(hidden)]
    pub fn new(
        system: &'static str,
        experiment: impl Into<String>,
        quantity: impl Into<String>,
        better: Better,
        paper: Option<f64>,
        runs: Vec<f64>,
        seconds: f64,
    ) -> Self {
        let n = runs.len() as f64;
        let ours = runs.iter().sum::<f64>() / n.max(1.0);
        let squares: f64 = runs.iter().map(|run| (run - ours).powi(2)).sum();
        let spread = if runs.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        let (experiment, quantity) = (experiment.into(), quantity.into());
        Outcome { system, experiment, quantity, better, paper, ours, spread, runs, seconds }
    }

    /// The same with the median of the runs, and half the range between their quartiles, in place of mean and deviation.
    pub(crate) fn of_medians(self) -> Self {
        let mut sorted = self.runs.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (sorted.len().max(1) - 1) as f64;
            let value = |place: f64| sorted.get(place as usize).copied().unwrap_or(f64::NAN);
            value(place.floor()) + place.fract() * (value(place.ceil()) - value(place.floor()))
        };
        Outcome { ours: at(0.5), spread: 0.5 * (at(0.75) - at(0.25)), ..self }
    }
}
