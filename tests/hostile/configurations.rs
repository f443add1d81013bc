//! Configurations of every system.

use super::*;

type Parse = fn(&str) -> Result<String>;

/// The configurations of all systems: what reads them, and gives them back as they are written.
pub(crate) fn configurations() -> [(&'static str, Parse); 8] {
    macro_rules! configuration {
        ($system:ident) => {
            (stringify!($system), |text| $system::Config::from_toml(text, "file").map(|config| config.to_toml()))
        };
    }
    [
        configuration!(hebbian),
        configuration!(hierarchy),
        configuration!(organism),
        configuration!(evolution),
        configuration!(dopaminergic),
        configuration!(krotov_hopfield),
        configuration!(backprop),
        configuration!(softmax),
    ]
}

/// Accepted, and then written in a form that is read back the same; or refused with its place or its name.
fn answered(name: &str, text: &str, parse: Parse) -> bool {
    let start: String = text.chars().take(60).collect();
    match frugal(text.len(), (name, &start), || parse(text)) {
        Ok(written) => assert_eq!(parse(&written).unwrap(), written, "{name}: {start}"),
        Err(Error::Format { .. } | Error::Setting { .. }) => return false,
        Err(other) => panic!("{name}, '{start}': {other}"),
    }
    true
}

#[test]
fn configurations_cut_off_or_changed_are_answered() {
    let _alone = alone();
    for (name, parse) in configurations() {
        let whole = parse("").unwrap();
        assert!(answered(name, &whole, parse));
        for length in (0..whole.len()).filter(|&length| whole.is_char_boundary(length)) {
            answered(name, &whole[..length], parse);
        }
        for at in 0..whole.len() {
            // Each bit but the one that makes it no text.
            for bit in 0..7 {
                let mut wrong = whole.clone().into_bytes();
                wrong[at] ^= 1 << bit;
                answered(name, std::str::from_utf8(&wrong).unwrap(), parse);
            }
        }
    }
}

#[test]
fn configurations_made_to_take_memory_are_refused() {
    let _alone = alone();
    for length in [LONGEST_CONFIG, LONGEST_CONFIG + 1, 1 << 16, 1 << 20] {
        let repeated = |piece: &str| piece.repeat(length / piece.len());
        let numbered = |line: fn(usize) -> String| (0..length / line(0xfff).len()).map(line).collect::<String>();
        let texts = [
            format!("a = [{}]", repeated("0,")),
            format!("layers = [{}]", repeated("1,")),
            format!("layers = [{}]", repeated("[],")),
            format!("layers = [{}]", repeated("{},")),
            format!("topology = [{}]", repeated("[[0,1,0,1]],")),
            format!("topology = [[{}]]", repeated("[0,20,0,1],")),
            format!(
                "map = {{ rows = 49000, cols = 21, latents = [[0,1,20,21]] }}\nunits = 1\ntopology = [[{}]]",
                repeated("[0,48000,0,1],")
            ),
            format!("a{} = 0", repeated(".a")),
            numbered(|n| format!("{n:x}=0\n")),
            numbered(|n| format!("[{n:x}]\n")),
            numbered(|n| format!("[{n:x}.a.b]\n")),
            numbered(|n| format!("{n:x}.0=0\n")),
            format!("a = [{}]", repeated("{a=0},")),
            repeated("[[a]]\n"),
            repeated("["),
            repeated("{a="),
            repeated("]"),
            repeated("= "),
            repeated("\"\"\""),
            repeated("'"),
            repeated("a\n"),
            repeated("1."),
            repeated("\u{fffd}"),
        ];
        for (name, parse) in configurations() {
            for text in &texts {
                assert!(!answered(name, text, parse), "{name}");
            }
            answered(name, &repeated("\n"), parse);
            answered(name, &repeated("#\n"), parse);
        }
    }
}
