//! What operators ask to be done with LDP neighbors.

use api::LdpOperation;

use super::*;
use crate::control::api_server::Operation;

impl Node {
    pub(super) fn operate(&mut self, now: Tick, Operation { neighbor, operation, answer }: Operation) {
        let done = match operation {
            LdpOperation::Clear => self.speaker.handle_clear(now, neighbor),
            LdpOperation::Shut => {
                self.speaker.handle_shut(now, neighbor, true);
                true
            }
            LdpOperation::Open => {
                let was = self.speaker.shut().any(|shut| shut == neighbor);
                self.speaker.handle_shut(now, neighbor, false);
                was
            }
        };
        if done {
            let what = match operation {
                LdpOperation::Clear => "cleared",
                LdpOperation::Shut => "shut until it is opened or control is started again",
                LdpOperation::Open => "open again",
            };
            tracing::info!("by an operator's word, LDP neighbor {neighbor} is {what}");
        }
        // Who asked may be gone.
        let _ = answer.send(done);
    }
}
