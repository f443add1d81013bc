//! `neuropil train SYSTEM --print-config`: every key of a configuration, those without a default as comments in their places.

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
        System::Hebbian => &[(
            "",
            &[r#"reading = "relu" # the last hidden layer's activation as the output layer sees it, if another"#],
        )],
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
        System::Dopaminergic => {
            &[("", &["firing = 256 # so many of the most active units fire; all above zero if absent"])]
        }
        System::KrotovHopfield | System::Softmax => &[FEATURE_LENGTH],
        System::Organism | System::Backprop => &[],
    }
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
            *lines += &format!("{line}\n");
        }
    }
    for (header, lines) in without_default(system) {
        let commented: String = lines.iter().map(|line| format!("# {line}\n")).collect();
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
