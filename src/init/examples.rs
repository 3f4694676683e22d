//! The example projects. Their files are in the repository, and are part of the program.

/// An example project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    /// The project of this repository.
    Stedi,
    /// Orders, customers, products and refunds of a shop.
    Shop,
}

/// Paths and contents.
pub(super) type Files = &'static [(&'static str, &'static [u8])];

const STEDI: Files = include!("../../examples/init/stedi.rs");
const SHOP: Files = include!("../../examples/init/shop.rs");

impl Example {
    /// All of them, by their names.
    pub const ALL: [(&'static str, Self); 2] = [("stedi", Self::Stedi), ("shop", Self::Shop)];

    /// The name of its project.
    #[must_use]
    pub fn project_name(self) -> &'static str {
        Self::ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }

    pub(super) fn files(self) -> Files {
        match self {
            Self::Stedi => STEDI,
            Self::Shop => SHOP,
        }
    }
}
