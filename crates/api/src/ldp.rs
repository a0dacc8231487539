//! What can be done with an LDP neighbor: `POST /v1/ldp/neighbors/LSR-ID/OPERATION`.

/// What can be done with an LDP neighbor. The answer is 204, or 404 if there is nothing to do it with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LdpOperation {
    /// Its session ends and begins anew; all that both told is told again.
    Clear,
    /// Its session ends, and it is not listened to until it is opened, or control is started again. One may be shut that is
    /// not heard yet.
    Shut,
    /// It is not shut any more.
    Open,
}

impl LdpOperation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Clear, Self::Shut, Self::Open];

    /// As in the path.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Shut => "shut",
            Self::Open => "open",
        }
    }
}
