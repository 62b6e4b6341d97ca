//! Whether this processor can run this binary at all.
//!
//! The build targets x86-64-v3, so `is_x86_feature_detected!` is folded to `true` at compile time: the processor itself is
//! asked instead. Without this check an older one would die of an illegal instruction, without a word.

use std::io::Write as _;
use std::process::ExitCode;

/// Finds the first instruction set that the build uses and the processor lacks.
///
/// # Errors
/// The name of what is missing.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
pub fn check() -> Result<(), &'static str> {
    let processor = raw_cpuid::CpuId::new();
    let (Some(basic), Some(extended)) = (
        processor.get_feature_info(),
        processor.get_extended_feature_info(),
    ) else {
        return Err("cpuid");
    };
    let lzcnt = processor
        .get_extended_processor_and_feature_identifiers()
        .is_some_and(|features| features.has_lzcnt());
    let held = [
        ("AVX", basic.has_avx()),
        ("FMA", basic.has_fma()),
        ("F16C", basic.has_f16c()),
        ("MOVBE", basic.has_movbe()),
        ("AVX2", extended.has_avx2()),
        ("BMI1", extended.has_bmi1()),
        ("BMI2", extended.has_bmi2()),
        ("LZCNT", lzcnt),
        // The operating system must also save the wide registers.
        ("OSXSAVE", basic.has_oxsave()),
    ];
    match held.into_iter().find(|(_, present)| !present) {
        Some((name, _)) => Err(name),
        None => Ok(()),
    }
}

/// Other architectures have no level above what their target demands.
///
/// # Errors
/// Never.
#[cfg(not(target_arch = "x86_64"))]
pub fn check() -> Result<(), &'static str> {
    Ok(())
}

/// Says why the process ends, with bytes alone: formatting code may already hold instructions that are missing.
#[must_use]
pub fn refuse(missing: &str) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    for part in [
        "error: this processor lacks ",
        missing,
        ", which this build of quoin needs (x86-64-v3: AVX2, FMA, BMI2, F16C; Intel since 2013, AMD since 2015)\n\
         hint: build it on this machine with RUSTFLAGS=\"-C target-cpu=native\"; it runs, slowly\n",
    ] {
        // Nothing is left to tell it to when stderr is closed.
        let _ = stderr.write_all(part.as_bytes());
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_processor_that_runs_the_tests_is_good_enough() {
        assert_eq!(super::check(), Ok(()));
    }
}
