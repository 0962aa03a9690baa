//! What an agent command tells about itself while it runs: turns, money, refusals, limits, its last
//! words. Each command line has its own form ([`super::reader`]); this is what they add up to.

/// What was told so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// Records of its event stream that were understood.
    pub events: u64,
    /// Turns.
    pub turns: Option<u64>,
    /// Tokens, those from a cache included.
    pub tokens: Option<u64>,
    /// Money in US dollars.
    pub usd: Option<f64>,
    /// How it says that it ended; none as long as it has not said so.
    pub result: Option<Ending>,
    /// The limit that it stands at; taken back when it goes on after all.
    pub limit: Option<Limit>,
    /// Tools that it was not allowed to use, with what for.
    pub denied: Vec<String>,
    /// A question to a person, by a tool for that.
    pub asked: Option<String>,
    /// Why it cannot go on without a person: not logged in, no credit.
    pub locked_out: Option<String>,
    /// The last error that it told.
    pub error: Option<String>,
    /// The last thing that the agent itself said.
    pub said: Option<String>,
    /// Its session, for those who want to go on with it.
    pub session: Option<String>,
}

/// How a command says that it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Well.
    Good,
    /// It gave up, and why.
    Bad(String),
    /// It came to the end of the turns that it was allowed.
    OutOfTurns,
    /// It came to the end of the money that it was allowed.
    OutOfMoney,
}

/// A usage limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// How it was told.
    pub message: String,
    /// When it ends, where that is told.
    pub until: Option<jiff::Timestamp>,
}

impl Told {
    /// Adds tokens.
    pub fn add_tokens(&mut self, more: u64) {
        self.tokens = Some(self.tokens.unwrap_or(0).saturating_add(more));
    }

    /// Adds money.
    pub fn add_usd(&mut self, more: f64) {
        self.usd = Some(self.usd.unwrap_or(0.0) + more);
    }

    /// Counts one more turn.
    pub fn add_turn(&mut self) {
        self.turns = Some(self.turns.unwrap_or(0) + 1);
    }

    /// Notes a tool that was refused; the same one only once.
    pub fn deny(&mut self, what: impl Into<String>) {
        let what = super::short(&what.into(), 200);
        if !self.denied.contains(&what) {
            self.denied.push(what);
        }
    }
}
