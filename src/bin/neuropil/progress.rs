//! How a long run shows that it goes on: a bar on a terminal, a line a second elsewhere, always on standard error.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use neuropil::systems::Progress;

use crate::interrupt;

/// The shortest time between two plain lines.
const PAUSE: Duration = Duration::from_secs(1);

/// The bar that is on the terminal, which lines are not to be written across.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows the steps of training runs, and passes Ctrl-C on to them.
pub(crate) struct Monitor {
    bar: Option<ProgressBar>,
    /// What is being shown: the run's label and its phase.
    title: String,
    /// When the first step of the phase was done, and which: a resumed run begins in its middle.
    began: (Instant, u64),
    /// The step that was seen last, and the number of all: where they do not go on as before, another run has begun.
    last: (u64, u64),
    written: Option<Instant>,
    accuracy: Option<f64>,
    /// Of several runs under way: how many were done when this one was chosen, and its label.
    chosen: Option<(usize, String)>,
}

impl Monitor {
    /// A monitor that has seen nothing yet.
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(
                ProgressStyle::with_template("{prefix} [{wide_bar}] {pos}/{len} {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("=> "),
            );
            bar
        });
        shown().clone_from(&bar);
        Monitor::with(bar)
    }

    fn with(bar: Option<ProgressBar>) -> Self {
        let began = (Instant::now(), 0);
        Monitor { bar, title: String::new(), began, last: (0, 0), written: None, accuracy: None, chosen: None }
    }

    /// Shows a step of the run of this label. `Break` once Ctrl-C was pressed.
    pub(crate) fn observe(&mut self, label: &str, progress: &Progress<'_>) -> ControlFlow<()> {
        let title = format!("{label}: {}", progress.phase);
        let (last, steps) = std::mem::replace(&mut self.last, (progress.step, progress.steps));
        if self.title != title || progress.step < last || progress.steps != steps {
            self.title = title;
            self.began = (Instant::now(), progress.step);
            self.accuracy = None;
        }
        self.accuracy = progress.accuracy.or(self.accuracy);
        if let Some(bar) = &self.bar {
            bar.set_length(progress.steps);
            bar.set_prefix(self.title.clone());
            bar.set_message(self.figures(progress));
            bar.set_position(progress.step);
        } else if self.written.is_none_or(|written| written.elapsed() >= PAUSE) {
            self.written = Some(Instant::now());
            note(&format!("{} {}/{} {}", self.title, progress.step, progress.steps, self.figures(progress)));
        }
        self.asked_to_stop()
    }

    /// The same where several runs are under way: one of them is shown until one is finished.
    pub(crate) fn observe_one(
        &mut self,
        (done, all): (usize, usize),
        run: &str,
        progress: &Progress<'_>,
    ) -> ControlFlow<()> {
        let label = format!("[{}/{all}] {run}", done + 1);
        if self.chosen.as_ref().is_none_or(|(then, _)| *then != done) {
            self.chosen = Some((done, label.clone()));
        }
        match &self.chosen {
            Some((_, chosen)) if *chosen == label => self.observe(&label, progress),
            _ => self.asked_to_stop(),
        }
    }

    /// `Break` once Ctrl-C was pressed.
    fn asked_to_stop(&self) -> ControlFlow<()> {
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Loss, accuracy and the time this phase still needs at its speed so far.
    fn figures(&self, progress: &Progress<'_>) -> String {
        let mut text = String::new();
        if let Some(loss) = progress.loss {
            text += &format!("loss {loss:.4} ");
        }
        if let Some(accuracy) = self.accuracy {
            text += &format!("accuracy {:.2} % ", 100.0 * accuracy);
        }
        let (began, first) = self.began;
        let (done, left) = (progress.step - first, progress.steps.saturating_sub(progress.step));
        // How long a step takes is known from the second on.
        if done > 0 || left == 0 {
            let seconds = began.elapsed().as_secs_f64() * left as f64 / done.max(1) as f64;
            text += &format!("ETA {}", duration(seconds));
        }
        text
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            *shown() = None;
            bar.finish_and_clear();
        }
    }
}

/// Writes a line for the person watching, above the bar if there is one. Nobody watching is no failure.
pub(crate) fn note(text: &str) {
    let write = || {
        let _ = writeln!(std::io::stderr(), "{text}");
    };
    let bar = shown().clone();
    bar.map_or_else(write, |bar| bar.suspend(write));
}

/// A time as people read it: `8.5 s`, `3 min 05 s`, `2 h 07 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_once_a_step_was_timed_and_anew_for_each_run() {
        let progress = |step, steps| Progress { phase: "output", step, steps, loss: None, accuracy: None, whole: true };
        let mut monitor = Monitor::with(None);
        let mut told = |step, steps| {
            let _ = monitor.observe("run", &progress(step, steps));
            let figures = monitor.figures(&progress(step, steps));
            // As if all so far had taken a second.
            monitor.began.0 -= Duration::from_secs(1);
            figures
        };
        assert_eq!(told(101, 200), "");
        assert_eq!(told(103, 200), "ETA 48.5 s");
        // Another run of the same name: from its beginning, or of another length.
        assert_eq!(told(1, 200), "");
        assert_eq!(told(2, 200), "ETA 3 min 18 s");
        assert_eq!(told(3, 100), "");
        assert_eq!(told(100, 100), "ETA 0.0 s");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(8.54), "8.5 s");
        assert_eq!(duration(185.2), "3 min 05 s");
        assert_eq!(duration(7620.0), "2 h 07 min");
    }
}
