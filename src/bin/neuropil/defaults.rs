//! `neuropil train SYSTEM --print-config`: every key of a configuration, those without a default as comments in their places, and what else
//! each choice may be.

use neuropil::Error;

use crate::train::System;

/// The lines of the table of this header (top-level keys: "") that a configuration may have and the defaults have not: each key with a value
/// to begin with, and what it is for.
type Lines = (&'static str, &'static [&'static str]);

fn without_default(system: System) -> &'static [Lines] {
    const FEATURE_LENGTH: Lines = (
        "[output]",
        &["feature_length = 10.0 # features are scaled to this length, the root mean square of all samples"],
    );
    match system {
        System::Hebbian => &[
            ("", &[r#"reading = "relu" # the last hidden layer's activation as the output layer sees it, if another"#]),
            ("[output.perturbation.draws]", &[r#"# in place of this table, in the one above: draws = "per_sample""#]),
            (
                "[output.perturbation]",
                &[
                    "# in place of this table and that of draws: [output.backpropagation], for an output layer that learns by its gradient, with",
                    r#"# rate = 0.001, schedule = "linear", batch = 100, epochs = 20, non_negative = false, feature_length = 10.0"#,
                ],
            ),
        ],
        System::Hierarchy => &[
            (
                "",
                &[
                    "# the feature map, if not the papers': half-open rows and columns of each unit's latents; the image lies at 0, 0",
                    "map = { rows = 20, cols = 40, latents = [[0, 10, 20, 30], [10, 20, 20, 30], [0, 10, 30, 40]] }",
                ],
            ),
            ("[base]", &["sweeps = 3 # over the units, before the one that learns; as many as units if absent"]),
            (
                "[meta]",
                &[
                    "# receptive fields move; without this table they stand still",
                    r#"rule = "stochastic_hill_climbing""#,
                    "steps = 20",
                    "perturbations = 10",
                    "epochs = 5 # of base learning, for each candidate; base.epochs if absent",
                    r#"criterion = "unit""#,
                    r#"rejected = "undone""#,
                ],
            ),
        ],
        System::Evolution => &[
            (
                "",
                &[
                    "batch = 100 # images that a generation is judged on; all of the sample if absent",
                    "classes = 5 # the first so many; all if absent",
                ],
            ),
            (
                "[dawn]",
                &[
                    "# brightness rises to its value; without this table it is the same from the beginning",
                    "brightness = 0.1",
                    "generations = 100",
                ],
            ),
            (
                "[lifetime]",
                &["# the output layer learns after evolution; without this table nothing does", r#"start = "rounded""#],
            ),
            (
                "[lifetime.output]",
                &[r#"rule = "sign_sgd""#, "rate = 0.04", r#"schedule = "linear""#, "batch = 50", "epochs = 10"],
            ),
        ],
        System::Dopaminergic => &[
            ("", &["firing = 256 # so many of the most active units fire; all above zero if absent"]),
            (
                "[output.rule.dopaminergic]",
                &[
                    r#"# in place of this table, in the one above: rule = "sign_sgd" or "adam", whose own are then the keys left out there"#,
                ],
            ),
        ],
        System::KrotovHopfield => &[
            ("[inner.power]", &[r#"# in place of this table, before all tables: inner = "relu""#]),
            ("[reading.power]", &[r#"# in place of this table, before all tables: reading = "relu""#]),
            FEATURE_LENGTH,
        ],
        System::Softmax => &[FEATURE_LENGTH],
        System::Organism | System::Backprop => &[],
    }
}

/// All that a key may be, if that is one of a few.
fn choices(system: System, key: &str) -> &'static [&'static str] {
    match (system, key) {
        (_, "schedule") => &[r#""constant""#, r#""linear""#],
        (System::Hebbian, "mode") => &[r#""layer_wise""#, r#""joint""#],
        (System::Hebbian, "rule") => &[
            r#""oja_subspace""#,
            r#""oja_excluding_self""#,
            r#""sanger""#,
            r#""oja_per_unit""#,
            r#""winner_take_all""#,
            "{ winners_take_all = { k = 7 } }",
            "{ soft_winner_take_all = { temperature = 1.0 } }",
        ],
        (System::Hebbian, "activation" | "reading") => &[
            r#""relu""#,
            r#"{ magnitude_zscore = { axis = "sample", rescale = false } } (axis: "sample", "unit" or "whole")"#,
        ],
        (System::Hebbian, "reduction") => &[r#""mean""#, r#""sum""#],
        (System::Hebbian, "reward") => &[r#""plain""#, r#""normalised""#],
        (System::Hebbian, "inputs") => &[r#""plain""#, r#""scaled""#, r#""centred""#, r#""standardised""#],
        (System::Hebbian, "order") => &[r#""class_balanced""#, r#""shuffled""#, r#""windows""#],
        (System::Hierarchy, "images") => &[r#""mnist""#, r#""cifar10""#],
        (System::Hierarchy, "form") => &[r#""gathered""#, r#""masked""#],
        (System::Hierarchy, "topology") => &[
            r#""a1""#,
            r#""a2""#,
            r#""a3""#,
            r#""ar1""#,
            r#""ar2""#,
            r#""ar3""#,
            r#""random""#,
            "[[[0, 20, 0, 20]], [[0, 20, 0, 20]], [[0, 20, 0, 20]]] (of each unit its areas: row, row end, col, col end)",
        ],
        (System::Hierarchy, "rule") => &[r#""stochastic_hill_climbing""#, r#""local_search""#, r#""random_search""#],
        (System::Hierarchy, "criterion") => &[r#""unit""#, r#""unit_best""#, r#""median""#],
        (System::Hierarchy, "rejected") => &[r#""undone""#, r#""keeps_weights""#],
        (System::Organism, "activation") => &[r#""gelu""#, r#""linear""#],
        (System::Evolution, "judged_on") => &[r#""all_classes""#, r#""one_class""#],
        (System::Evolution, "start") => &[r#""sampled""#, r#""rounded""#, r#""expected""#],
        (System::Evolution, "rule") => &[
            r#""sign_sgd""#,
            r#""adam""#,
            r#"{ dopaminergic = { reading = "signed", loss = 0.75 } } (reading: "signed", "printed" or "prose")"#,
        ],
        (System::Dopaminergic, "reading") => &[r#""signed""#, r#""printed""#, r#""prose""#],
        (System::Backprop, "activation") => &[r#""relu""#, r#""zscore""#],
        (System::Backprop, "initial") => &[r#""he""#, r#""paper""#],
        _ => &[],
    }
}

/// A line with the other choices behind it, if it has a choice.
fn with_choices(system: System, line: &str) -> String {
    let Some((key, rest)) = line.split_once(" = ") else { return line.to_owned() };
    let others: Vec<&str> = choices(system, key).iter().copied().filter(|choice| !rest.starts_with(choice)).collect();
    let sign = if rest.contains(" # ") { ";" } else { " #" };
    if others.is_empty() { line.to_owned() } else { format!("{line}{sign} or {}", others.join(", ")) }
}

/// The configuration of an empty file, with what it could hold besides.
pub(crate) fn text(system: System) -> Result<String, Error> {
    // Of whatever images: a configuration does not hold them.
    let defaults = system.create("", "defaults", 784, 10)?.config_toml();
    // The header of each table, and its lines.
    let mut tables = vec![("", String::new())];
    for line in defaults.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('[') {
            tables.push((line, String::new()));
        } else if let Some((_, lines)) = tables.last_mut() {
            *lines += &format!("{}\n", with_choices(system, line));
        }
    }
    for (header, lines) in without_default(system) {
        let commented: String = lines.iter().map(|line| format!("# {}\n", with_choices(system, line))).collect();
        match tables.iter_mut().find(|(known, _)| known == header) {
            Some((_, known)) => *known += &commented,
            None => tables.push(("", format!("# {header}\n{commented}"))),
        }
    }
    let tables =
        tables.into_iter().map(|(header, lines)| if header.is_empty() { lines } else { format!("{header}\n{lines}") });
    Ok(tables.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// With nothing left out.
    fn whole(system: System) -> String {
        text(system).unwrap().lines().map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line))).collect()
    }

    #[test]
    fn what_is_printed_says_what_an_empty_file_does() {
        for &system in System::value_variants() {
            let create = |text: &str| system.create(text, "printed", 784, 10).unwrap().config_toml();
            assert_eq!(create(&text(system).unwrap()), create(""), "{system:?}");
            // All that is a comment can be meant.
            let keys = |text: &str| text.lines().filter(|line| line.contains(" = ")).count();
            assert_eq!(
                keys(&create(&whole(system))) - keys(&create("")),
                without_default(system)
                    .iter()
                    .flat_map(|(_, lines)| *lines)
                    .filter(|line| !line.starts_with('#'))
                    // Written as tables of their own, one line for each key.
                    .map(|line| if line.starts_with("map") { 3 } else { 1 })
                    .sum::<usize>(),
                "{system:?}"
            );
        }
    }

    /// A choice that there is not is told which there are.
    #[test]
    fn no_choice_is_left_out_and_all_can_be_made() {
        for &system in System::value_variants() {
            let whole = whole(system);
            let mut seen = 0;
            for line in whole.lines().filter(|line| line.contains(" = \"") && !line.starts_with('#')) {
                let (key, rest) = line.split_once(" = ").unwrap();
                let value = format!("\"{}\"", rest.split('"').nth(1).unwrap());
                let create =
                    |value: &str| system.create(&whole.replacen(line, &format!("{key} = {value}"), 1), "o", 784, 10);
                let said = create("\"lairs\"").err().unwrap().to_string();
                let names: Vec<&str> = match said.split_once(", or a list") {
                    Some((listed, _)) => listed.split_once("expected one of ").unwrap().1.split(", ").collect(),
                    None => said.split('`').skip(3).step_by(2).collect(),
                };
                assert!(names.len() > 1, "{system:?}, {line}: {said}");
                for name in &names {
                    assert!(line.contains(name), "{system:?}, {line}: no {name}");
                }
                let all = choices(system, key);
                // A list has no name.
                let named = all.iter().filter(|choice| !choice.starts_with('['));
                assert!(named.count() == names.len() && all.contains(&value.as_str()), "{system:?}, {line}: {names:?}");
                for choice in all {
                    let made = create(choice.split(" (").next().unwrap());
                    // Some do not go with the other keys as they are.
                    if let Err(error) = made.map(|_| ()) {
                        assert!(matches!(error, Error::Setting { .. }), "{system:?}, {key} = {choice}: {error}");
                    }
                }
                seen += 1;
            }
            assert!(seen > 0, "{system:?}");
        }
    }

    /// A key that no table has is told which it does have.
    #[test]
    fn no_key_is_left_out() {
        for &system in System::value_variants() {
            let whole = whole(system);
            let starts = whole.match_indices('[').filter(|&(at, _)| whole[..at].ends_with('\n')).map(|(at, _)| at);
            for start in std::iter::once(0).chain(starts) {
                let after_header = if start == 0 { 0 } else { start + whole[start..].find('\n').unwrap() + 1 };
                let wrong = format!("{}lairs = 3\n{}", &whole[..after_header], &whole[after_header..]);
                let said = system.create(&wrong, "wrong", 784, 10).err().unwrap().to_string();
                // A choice that holds values looks like a table, and has one key.
                if said.contains("the choice on line") {
                    continue;
                }
                let said = said.split_once("lairs").expect(&said).1.split(" on line").next().unwrap();
                let names: Vec<&str> = said
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .filter(|word| !["", "expected", "one", "of", "or", "available", "keys"].contains(word))
                    .collect();
                assert!(!names.is_empty(), "{said}");
                for name in names {
                    let there = whole.lines().any(|line| {
                        line.starts_with(&format!("{name} ="))
                            || line.trim_start_matches('[').split(['.', ']']).any(|part| part == name)
                    });
                    assert!(there, "{system:?} has a key {name}");
                }
            }
        }
    }
}
