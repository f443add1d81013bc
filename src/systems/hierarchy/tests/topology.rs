//! Maps, fields and configurations.

use super::*;

#[test]
fn data_of_another_shape_are_refused() {
    let data = embedded().train;
    let mut context = context(Isa::best(), 1);
    let cifar = Config { images: Images::Cifar10, ..config(Named::A1) };
    assert!(matches!(Network::new(cifar.clone(), 784, 10), Err(Error::Setting { .. })));
    let mut network = Network::new(cifar, 3072, 10).unwrap();
    assert!(matches!(network.train(&mut context, &data, None, &mut go), Err(Error::Setting { .. })));
    assert_eq!(network.geometry().map(), Map { rows: 32, cols: 64 });
    assert_eq!(network.fields()[2].rectangles(), [Rectangle::new(0..32, 16..32)]);
    assert_eq!((network.geometry().hidden(), network.fields()[0].len()), (256, 512));
}

#[test]
fn images_of_another_shape_are_refused_before_anything_is_learnt() {
    let mut context = context(Isa::best(), 1);
    let data = embedded().train.subset(&(0..100).collect::<Vec<u32>>()).unwrap();
    // As many pixels.
    let other = Dataset::new(vec![0; 10 * 784], (0..10).collect(), Shape::new(1, 16, 49).unwrap(), 10).unwrap();
    let mut network = network(&config(Named::A1));
    let mut never = |_: &Progress<'_>| panic!("a step");
    let errors = [
        network.train(&mut context, &data, Some(&other), &mut never).unwrap_err(),
        network.train(&mut context, &other, None, &mut never).unwrap_err(),
        network.accuracy(&mut context, &other).unwrap_err(),
    ];
    for error in errors {
        let told = "image size: expected 1 x 28 x 28, as the hierarchy was made for, found 1 x 16 x 49";
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn the_papers_topologies_stand_where_they_should() {
    let geometry = Geometry::of_paper(20, 3).unwrap();
    assert_eq!(geometry.map(), Map { rows: 20, cols: 40 });
    for topology in Named::FIXED {
        let fields = fields(&Topology::Named(topology), &geometry, 0).unwrap();
        assert_eq!(fields.iter().map(ReceptiveField::len).collect::<Vec<_>>(), [200; 3], "{topology:?}");
    }
    for (units, cols) in [(5, 50), (7, 60)] {
        let geometry = Geometry::of_paper(20, units).unwrap();
        assert_eq!((geometry.map().cols, geometry.latents().len(), geometry.hidden()), (cols, units, 100));
        let random = fields(&Topology::Named(Named::Random), &geometry, 5).unwrap();
        assert!(random.iter().all(|field| field.len() == 200));
    }
    assert!(fields(&Topology::Named(Named::A1), &Geometry::of_paper(20, 5).unwrap(), 0).is_err());
    let upright = (0..100).filter(|&n| random_place(&geometry, Stream::new(n, "t")).unwrap().rows.len() == 20).count();
    assert!((30..70).contains(&upright), "{upright} of 100 stand upright");
}

#[test]
fn shifts_stay_on_the_map() {
    let map = Map { rows: 20, cols: 40 };
    let field = |rows, cols| ReceptiveField::new(map, &[Rectangle::new(rows, cols)]).unwrap();
    assert_eq!(shifted(&field(5..15, 7..27), [1, -1]), field(6..16, 6..26));
    assert_eq!(shifted(&field(0..10, 20..40), [-1, 1]), field(1..11, 19..39), "inward");
    assert_eq!(shifted(&field(0..20, 5..15), [1, 1]), field(0..20, 6..16), "an axis it spans stays");
    assert_eq!(neighbours(&field(5..15, 7..27)).len(), 8);
    assert_eq!(neighbours(&field(0..20, 5..15)).len(), 2);
    assert_eq!(neighbours(&field(0..10, 20..40)).len(), 3);
    assert!(neighbours(&field(0..20, 0..40)).is_empty());
}

#[test]
fn a_field_that_moves_leaves_weights_behind_and_finds_others() {
    let map = Map { rows: 20, cols: 40 };
    let field = |cols| ReceptiveField::new(map, &[Rectangle::new(0..20, cols)]).unwrap();
    let (here, there) = (field(5..15), field(6..16));
    let mut unit = Unit::new(Form::Masked, &here, 100, Stream::new(1, "w"));
    let initial = unit.store.clone().unwrap();
    unit.encoder.weights.as_mut_slice().fill(9.0);
    unit.decoder.bias.fill(8.0);
    let moved = unit.moved(Form::Masked, &here, &there);
    // Row by row: nine columns are still seen, the tenth is new.
    assert_eq!(moved.encoder.weights.row(3)[..9], [9.0; 9]);
    assert_eq!(moved.encoder.weights[(3, 9)], initial.encoder[(3, 15)]);
    assert_eq!(moved.decoder.bias[9], initial.decoder_bias[15]);
    assert_eq!(moved.store.as_ref().unwrap().encoder[(3, 5)], 9.0, "as it was when the field left");
    let back = moved.moved(Form::Masked, &there, &here);
    assert_eq!(back.encoder.weights, unit.encoder.weights);
    let gathered = Unit::new(Form::Gathered, &here, 100, Stream::new(1, "w"));
    assert_eq!(gathered.moved(Form::Gathered, &here, &there), gathered);
}

#[test]
fn configurations_go_to_toml_and_back() {
    let given =
        Topology::Given(vec![vec![[0, 20, 0, 10]], vec![[0, 10, 0, 10], [5, 15, 3, 13]], vec![[0, 20, 20, 30]]]);
    for config in [
        Config::default(),
        Config { meta: Some(Meta::default()), form: Form::Masked, ..config(Named::Random) },
        Config { topology: given, ..Config::default() },
        Config { images: Images::Cifar10, ..config(Named::Ar3) },
    ] {
        assert_eq!(Config::from_toml(&config.to_toml(), "again").unwrap(), config);
    }
    let without_epochs = Config::from_toml("[meta]\nsteps = 3", "test").unwrap();
    assert_eq!(without_epochs.meta, Some(Meta { steps: 3, epochs: None, ..Meta::default() }));
}

#[test]
fn configurations_that_cannot_be_are_refused_by_name() {
    let map = "units = 1\ntopology = [[[0, 20, 0, 10]]]\n[map]\n";
    for (text, because) in [
        ("topologie = \"a1\"", "topologie"),
        ("topology = \"a4\"", "topology"),
        ("units = 0", "units"),
        ("units = 8", "units"),
        ("units = 5\ntopology = \"a1\"", "topology A1"),
        ("units = 2\ntopology = [[[0, 10, 0, 10]]]", "topology"),
        ("units = 1\ntopology = [[[0, 10, 31, 41]]]", "topology of unit 0"),
        ("units = 1\ntopology = [[[0, 10, 5, 5]]]", "topology of unit 0"),
        ("units = 1\ntopology = [[[9, 3, 5, 15]]]", "topology of unit 0"),
        ("units = 1\ntopology = [[]]", "topology of unit 0"),
        (&format!("{map}rows = 0\ncols = 40\nlatents = [[0, 10, 20, 30]]"), "map"),
        (&format!("{map}rows = 20\ncols = 0\nlatents = [[0, 10, 20, 30]]"), "map"),
        (&format!("{map}rows = 19\ncols = 40\nlatents = [[0, 10, 20, 30]]"), "map"),
        (&format!("{map}rows = 9000000\ncols = 9000000\nlatents = [[0, 10, 20, 30]]"), "map"),
        (&format!("{map}rows = 20\ncols = 40\nlatents = [[0, 10, 20, 30], [10, 20, 20, 30]]"), "map.latents"),
        (&format!("{map}rows = 20\ncols = 40\nlatents = [[0, 10, 20, 20]]"), "map.latents[0]"),
        (&format!("{map}rows = 20\ncols = 40\nlatents = [[0, 10, 35, 45]]"), "map.latents[0]"),
        (&format!("{map}rows = 20\ncols = 40\nlatents = [[0, 10, 19, 29]]"), "map.latents[0]"),
        ("validation = 1.0", "validation"),
        ("seed = 9223372036854775808", "seed"),
        ("[base]\nbatch = 0", "base.batch"),
        ("[base]\nrate = 0.0", "base.rate"),
        ("[base]\ndecay = -1.0", "base.decay"),
        ("[base]\ndropout = 1.0", "base.dropout"),
        ("[base]\nbins = 0", "base.bins"),
        ("[base]\nepochs = 0\n[meta]\n", "base.epochs"),
        ("[meta]\nperturbations = 0", "meta.perturbations"),
        ("[meta]\nepochs = 0", "meta.epochs"),
        ("[read_out]\npatience = 0", "read_out.patience"),
        ("[read_out]\nbatch = 0", "read_out.batch"),
        ("[meta]\nrule = 'local_search'\nrejected = 'keeps_weights'", "meta.rejected"),
        ("units = 1\ntopology = [[[0, 20, 0, 20]]]\n[meta]\nrule = 'random_search'", "topology of unit 0"),
        (
            "topology = [[[0, 20, 0, 10]], [[0, 20, 0, 10]], [[0, 9, 0, 9]]]\n[meta]\nrule = 'random_search'",
            "topology of unit 2",
        ),
        (&format!("topology = 'a1'\n{OTHER_MAP}"), "map"),
        // What no memory holds.
        (&format!("{map}rows = 1024\ncols = 1024\nlatents = [[0, 25, 20, 60]]"), "map"),
        (&format!("form = 'masked'\n{map}rows = 1024\ncols = 1024\nlatents = [[0, 25, 20, 60]]"), "map"),
        (
            "units = 1\ntopology = [[[0, 200, 0, 200]]]\nbase.batch = 65536\n
             map = { rows = 200, cols = 200, latents = [[0, 1, 20, 21]] }",
            "base.batch",
        ),
        (
            "units = 2\ntopology = [[[0, 1, 0, 1]], [[0, 1, 0, 1]]]\nread_out.hidden = 65536\n
             map = { rows = 120, cols = 220, latents = [[20, 120, 20, 120], [20, 120, 120, 220]] }",
            "read_out.hidden",
        ),
        ("read_out = { batch = 1048576, hidden = 65536 }", "read_out.batch"),
    ] {
        match Config::from_toml(text, "test.toml") {
            Err(Error::Setting { name, .. }) => {
                assert!(name.starts_with(&format!("test.toml, {because}")), "{text}: {name}");
            }
            Err(Error::Format { found, .. }) => assert!(found.contains(because), "{text}: {found}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    // As many sweeps as units, if none are given: more than there may be.
    for (sweeps, refused) in [(None, true), (Some(1025), true), (Some(1024), false)] {
        let latents: Vec<_> = (0..1025).map(|k| [k / 40, k / 40 + 1, 20 + k % 40, 21 + k % 40]).collect();
        let config = Config {
            units: latents.len(),
            topology: Topology::Given(vec![vec![[0, 1, 0, 1]]; latents.len()]),
            map: Some(FeatureMap { rows: 26, cols: 60, latents }),
            base: Base { sweeps, ..Base::default() },
            ..Config::default()
        };
        match config.validate() {
            Err(Error::Setting { name, expected, found }) => {
                assert!(refused && name.starts_with("base.sweeps"), "{name}");
                assert_eq!((expected.as_str(), found.as_str()), ("an integer from 0 to 1024", "1025"));
            }
            other => assert!(!refused && other.is_ok(), "{sweeps:?}: {other:?}"),
        }
    }
    let overlapping = "units = 2\ntopology = [[[0, 20, 0, 10]], [[0, 20, 0, 10]]]\n[map]\nrows = 20\ncols = 40\n\
                       latents = [[0, 10, 20, 30], [5, 15, 25, 35]]";
    match Config::from_toml(overlapping, "test.toml") {
        Err(Error::Setting { name, expected, .. }) => {
            assert_eq!(
                (name.as_str(), expected.as_str()),
                ("test.toml, map.latents[1]", "an area without a cell of [0, 10, 20, 30]")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_topology_is_told_what_is_one() {
    let permitted: Vec<&str> = Named::FIXED.iter().chain([&Named::Random]).map(|named| named.name()).collect();
    let permitted = permitted.join(", ").to_lowercase();
    for wrong in ["'a9'", "3", "[[[0, 20, 0]]]"] {
        let error = Config::from_toml(&format!("units = 3\ntopology = {wrong}"), "test.toml").unwrap_err().to_string();
        let words = format!(
            "expected one of {permitted}, or a list, for each unit, of areas [row, row_end, col, col_end], found {wrong} on"
        );
        assert!(error.contains(&words) && error.contains("on line 2"), "{error}");
    }
}

/// Latents below the image, not beside it.
const OTHER_MAP: &str =
    "map = { rows = 40, cols = 40, latents = [[20, 30, 0, 10], [20, 30, 10, 20], [20, 30, 20, 30]] }";

#[test]
fn what_random_search_and_maps_of_ones_own_allow() {
    for text in [
        "topology = 'a2'\nmeta = { rule = 'random_search' }",
        "units = 1\ntopology = [[[0, 20, 0, 20]]]\nform = 'masked'\nmeta = { rule = 'random_search' }",
        "units = 1\ntopology = [[[0, 10, 20, 30], [0, 10, 20, 30]]]\nmeta = { rule = 'random_search' }",
        "images = 'cifar10'\ntopology = 'ar2'\nmeta = { rule = 'random_search' }",
        "topology = 'a1'\nmap = { rows = 20, cols = 40, latents = [[0, 10, 20, 30], [10, 20, 20, 30], [0, 10, 30, 40]] }",
        &format!("topology = 'random'\n{OTHER_MAP}"),
    ] {
        Config::from_toml(text, "test.toml").unwrap();
    }
    match Config::from_toml("units = 1\ntopology = [[[0, 20, 0, 20]]]\n[meta]\nrule = 'random_search'", "test.toml") {
        Err(Error::Setting { expected, found, .. }) => {
            assert!(expected.starts_with("200 cells") && found == "400", "{expected}, {found}");
        }
        other => panic!("{other:?}"),
    }
}
