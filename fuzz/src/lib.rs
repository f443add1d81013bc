//! What the targets share: a limit on memory, and one case of a kernel's check out of a fuzzer's bytes.

use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use neuropil::Isa;
use neuropil::kernels::verify;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a parser may use beyond twice the size of what it reads.
const SLACK: usize = 1 << 20;

/// Runs this and checks that it never holds more than twice `size` and a mebibyte.
pub fn frugal<T>(size: usize, run: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = run();
    let most = MEMORY.peak_usage() - before;
    assert!(most <= 2 * size + SLACK, "{most} bytes of memory for an input of {size}");
    result
}

/// Computes one case of a check of these families on the best instruction set of this CPU, and on the scalar token: which check, the shape
/// and the seed of the values are the input's.
pub fn differential(data: &[u8], families: &[&str]) {
    let mut data = Unstructured::new(data);
    let _ = case(&mut data, families);
}

fn case(data: &mut Unstructured<'_>, families: &[&str]) -> Result<()> {
    static KERNELS: OnceLock<Vec<&str>> = OnceLock::new();
    let kernels = KERNELS.get_or_init(|| {
        let of_families = |name: &&str| families.contains(&name.split("::").next().expect("a name"));
        let kernels: Vec<&str> = verify::kernels().filter(of_families).collect();
        assert!(families.iter().all(|family| kernels.iter().any(|name| name.starts_with(family))), "{families:?}");
        kernels
    });
    let kernel = *data.choose(kernels)?;
    // Small shapes as likely as large ones: a byte says how many bits of the size count.
    let sizes = (0..6).map(|_| Ok(usize::from(data.arbitrary::<u16>()? >> (data.arbitrary::<u8>()? % 16))));
    let sizes: Vec<usize> = sizes.collect::<Result<_>>()?;
    let seed = data.arbitrary()?;
    let reports = verify::case(kernel, &[Isa::best()], &sizes, seed).expect("a known kernel on a set of this CPU");
    for report in reports {
        assert!(
            report.passed(),
            "{kernel} on {}, sizes {sizes:?} ({}), seed {seed}: error / bound {}, bits of scalar: {}",
            report.isa,
            report.worst_shape,
            report.worst,
            report.equals_scalar
        );
    }
    Ok(())
}
