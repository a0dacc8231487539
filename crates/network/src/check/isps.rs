//! ISPs: numbers, names, and whether anybody can use them.

use contract::counters::ISP_SLOTS;

use super::Checker;
use crate::read::Place;

impl Checker<'_> {
    pub(super) fn isps(&mut self) {
        let isps = || self.model.isps.iter().enumerate().map(|(i, isp)| (Place::root().item("isp", i), isp));
        let numbers = isps().map(|(place, isp)| (isp.asn, place.key("asn"))).collect();
        self.unique("the ISP", "write all handoffs and headends of an ISP into one `[[isp]]`", numbers);
        let names = isps().map(|(place, isp)| (isp.name.as_str(), place.key("name"))).collect();
        self.unique("the ISP name", "give each ISP a name of its own", names);
        if let Some((place, _)) = isps().nth(ISP_SLOTS) {
            let message = format!("{} ISPs are more than {ISP_SLOTS}", self.model.isps.len());
            self.error(message, "a network serves no more", &[(&place, "one too many")]);
        }
        for (place, isp) in isps() {
            let lists = ["handoff", "headend"].map(|key| place.key(key));
            if lists.iter().any(|list| self.places.is_poisoned(list)) {
                continue;
            }
            let (name, place) = (&isp.name, place.key("name"));
            match (isp.handoffs.is_empty(), isp.headends.is_empty()) {
                (true, false) => self.warning(
                    format!("{name} has subscribers and no handoff, so their packets are dropped"),
                    "add an `[[isp.handoff]]` at a tailend",
                    &[(&place, "no handoff")],
                ),
                (false, true) => self.warning(
                    format!("{name} has a handoff and no headend, so it has no subscribers"),
                    "add an `[[isp.headend]]` with the pools of its subscribers",
                    &[(&place, "no headend")],
                ),
                (true, true) => self.warning(
                    format!("{name} has neither a handoff nor a headend"),
                    "add an `[[isp.handoff]]` and an `[[isp.headend]]`, or remove the ISP",
                    &[(&place, "no use is made of it")],
                ),
                (false, false) => {}
            }
        }
    }
}
