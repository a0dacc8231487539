//! Reasons as values, each with a stable name and a meaning.

/// Declares an enum of reasons with their stable names and their meanings in one place: `ALL`, `COUNT`, `name` and
/// `meaning` follow. A reason's number is its place in `ALL`.
#[macro_export]
macro_rules! reasons {
    (
        $(#[doc = $about:literal])+ pub enum $reasons:ident;
        $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $reasons { $($(#[doc = $doc])+ $variant,)+ }

        impl $reasons {
            /// All reasons, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The stable name, as in tables, JSON and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}
