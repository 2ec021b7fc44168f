//! Loops over every byte of every text, with the widest instructions that the machine has.
//!
//! In: a function that takes bytes without branching on each. Out: that function, compiled for all
//! machines and once more for those with AVX2; the one that fits is called. Never: another result.

/// Compiles a function for the widest instructions, too.
macro_rules! widest {
    (
        $(#[$note:meta])*
        fn $name:ident($($given:ident: $kind:ty),*) -> $out:ty $body:block
    ) => {
        $(#[$note])*
        fn $name($($given: $kind),*) -> $out {
            #[inline(always)]
            fn plain($($given: $kind),*) -> $out $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,lzcnt")]
            fn wide($($given: $kind),*) -> $out {
                plain($($given),*)
            }

            #[cfg(target_arch = "x86_64")]
            if $crate::widest::is_wide() {
                #[expect(unsafe_code, reason = "the machine has what it is compiled for")]
                // SAFETY: `is_wide` asks for each feature that `wide` is compiled for; who changes
                // one list changes both.
                return unsafe { wide($($given),*) };
            }
            plain($($given),*)
        }
    };
}

pub(crate) use widest;

/// Whether the machine has what the wide functions are compiled for.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn is_wide() -> bool {
    use std::arch::is_x86_feature_detected;
    #[cfg(test)]
    if tests::IS_NARROW.get() {
        return false;
    }
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("lzcnt")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    thread_local! {
        pub(super) static IS_NARROW: Cell<bool> = const { Cell::new(false) };
    }

    /// What a function comes to on this machine, and on one without wide instructions.
    pub(crate) fn both_ways<T>(run: impl Fn() -> T) -> [T; 2] {
        let wide = run();
        IS_NARROW.set(true);
        let narrow = run();
        IS_NARROW.set(false);
        [wide, narrow]
    }
}
