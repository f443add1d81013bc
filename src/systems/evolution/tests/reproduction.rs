//! The reproduction of the paper's tables.

use super::*;

#[test]
fn the_reproduction_answers_for_what_is_asked() {
    let data = embedded();
    let asked = |only: &[&str], runs| Options {
        only: only.iter().map(|name| (*name).to_owned()).collect(),
        runs,
        ..Options::new(Scale::Quick)
    };
    let mut observer = |_: &Stage<experiment::Row>, _: &crate::systems::Progress<'_>| ControlFlow::Continue(());
    assert!(reproduce(&mut context(), &data, &asked(&["nne-11"], 1), &mut observer).is_err());
    assert!(reproduce(&mut context(), &data, &asked(&[], 0), &mut observer).is_err());
    let report = reproduce(&mut context(), &data, &asked(&["theory"], 2), &mut observer).unwrap();
    let outcomes = report.outcomes();
    assert_eq!((report.runs.len(), outcomes.len()), (2, 5));
    assert!(outcomes[0].ours < 1e-9 && outcomes[1].ours < 0.03 && outcomes[4].ours > 0.95, "{outcomes:?}");
    let mut stop = |_: &Stage<experiment::Row>, _: &crate::systems::Progress<'_>| ControlFlow::Break(());
    let report = reproduce(&mut context(), &data, &asked(&["nne-5"], 1), &mut stop).unwrap();
    assert!(!report.ending.is_whole() && report.runs.is_empty());
}

#[test]
fn interrupted_reproductions_go_on_where_they_stopped() {
    let data = embedded();
    let folder = tempfile::tempdir().unwrap();
    let asked = |states: Option<&std::path::Path>| Options {
        only: vec!["nne-5".to_owned()],
        states: states.map(std::path::Path::to_owned),
        ..Options::new(Scale::Quick)
    };
    // Every eighth step is reported.
    let go_on = |options: &Options, last: u64| {
        let mut steps = Vec::new();
        let report = reproduce(&mut context(), &data, options, &mut |_, progress| {
            steps.push(progress.step);
            if progress.step >= last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (report.unwrap(), steps)
    };
    let (first, _) = go_on(&asked(Some(folder.path())), 16);
    assert!(!first.ending.is_whole() && first.runs.is_empty());
    let (rest, steps) = go_on(&asked(Some(folder.path())), u64::MAX);
    assert!(rest.ending.is_whole() && steps[0] >= 24, "what was done is not done again: {steps:?}");
    let (whole, _) = go_on(&asked(None), u64::MAX);
    assert_eq!(rest.runs[0].finding, whole.runs[0].finding);
}
