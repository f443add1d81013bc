//! Configurations as TOML, and those that are refused.

use super::*;

#[test]
fn configurations_survive_toml() {
    let mut config = Config::default();
    assert_eq!(Config::from_toml(&config.to_toml(), "x").unwrap(), config);
    assert_eq!(Config::from_toml("", "x").unwrap(), config, "every key has its default");
    config.reading = Some(Activation::MagnitudeZscore { axis: Axis::Unit, rescale: true });
    config.hidden.rule = crate::systems::hebbian::Rule::SoftWinnerTakeAll { temperature: 0.5 };
    config.output = Output::Backpropagation(Default::default());
    assert_eq!(Config::from_toml(&config.to_toml(), "x").unwrap(), config);
}

#[test]
fn configurations_out_of_range_say_key_range_and_value() {
    let refused = [
        ("layers = []", "layers", "1 to 64", "0"),
        ("layers = [5, 0]", "layers[1]", "1 to", "0"),
        ("[hidden]\nrate = -1.0", "hidden.rate", "above 0", "-1"),
        ("[hidden]\nrate = nan", "hidden.rate", "above 0", "NaN"),
        ("[hidden]\ndepth_factor = 0.0", "hidden.depth_factor", "above 0", "0"),
        (
            "layers = [5, 5]\n[hidden]\nrate = 1e30\ndepth_factor = 1e30",
            "hidden.rate * depth_factor^",
            "range of f32",
            "1",
        ),
        (
            "layers = [5, 5]\n[hidden]\nrate = 1e-30\ndepth_factor = 1e-30",
            "hidden.rate * depth_factor^",
            "range of f32",
            "e-60",
        ),
        ("[hidden]\nbatch = 0", "hidden.batch", "from 1", "0"),
        ("layers = [5]\n[hidden]\nrule = { winners_take_all = { k = 6 } }", "winners_take_all.k", "1 to 5", "6"),
        ("[output.perturbation]\nvariance = 0.0", "output.perturbation.variance", "above 0", "0"),
        ("[output.perturbation]\nvariance = 1e-300", "output.perturbation.variance", "range of f32", "1e-300"),
        ("[output.perturbation]\nalpha = 1e300", "output.perturbation.alpha", "range of f32", "1e300"),
        ("[hidden]\nrule = { soft_winner_take_all = { temperature = 1e-39 } }", "temperature", "range of f32", "1e-39"),
        ("[output.perturbation]\ndraws = { per_batch = 0 }", "draws.per_batch", "1 to", "0"),
        ("[output.backpropagation]\nrate = inf", "output.backpropagation.rate", "finite", "inf"),
        (
            "mode = 'joint'\n[output.perturbation]\norder = 'windows'",
            "output.perturbation.order",
            "layer_wise",
            "\"windows\"",
        ),
    ];
    for (text, key, range, found) in refused {
        match Config::from_toml(text, "test.toml") {
            Err(Error::Setting { name, expected, found: value }) => {
                assert!(
                    name.starts_with("test.toml, ")
                        && name.contains(key)
                        && expected.contains(range)
                        && value.contains(found),
                    "{name} {expected} {value}"
                );
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    for (text, word) in [
        ("lairs = [5]", "lairs"),
        ("\n\n[hidden]\nspeed = 3", "line 4"),
        ("[output.perturbation]\nbatch = 'many'", "line 2, 'batch"),
        ("[hidden]\nrule = 'backprop'", "backprop"),
        ("layers = [", "test.toml"),
        ("seed = -1", "invalid value: integer `-1`, expected an integer of 0 or more on line 1, 'seed"),
        ("layers = ['wide']", "invalid type: string \"wide\", expected an integer of 0 or more on line 1"),
        ("hidden.rate = 'fast'", "invalid type: string \"fast\", expected a number on line 1"),
        ("output = 'perturbation'", "expected a table 'backpropagation' or 'perturbation' on line 1"),
        ("[output]", "found neither output.backpropagation nor output.perturbation on line 1"),
        (
            "[output.perturbation]\n[output.backpropagation]",
            "found both output.backpropagation and output.perturbation on line 1",
        ),
        ("[output.propagation]", "unknown field `propagation`, expected `backpropagation` or `perturbation`"),
        ("output.backpropagation = 1", "invalid type: integer `1`, expected a table on line 1"),
        ("hidden = 1", "invalid type: integer `1`, expected a table on line 1"),
        ("hidden.rule = {}", "found an empty table where one key is expected, the choice on line 1"),
        ("hidden.rule = { sanger = {}, oja_subspace = {} }", "found a table of several keys where one is expected"),
        ("hidden.rule = 'winners_take_all'", "a name alone, expected a table of the name and a table of its keys"),
        ("hidden.rule = { winners_take_all = 3 }", "invalid type: integer `3`, expected a table on line 1"),
        ("output.perturbation.draws = 'per_batch'", "a name alone, expected a table of the name and its value"),
    ] {
        let error = Config::from_toml(text, "test.toml").unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}
