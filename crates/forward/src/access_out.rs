//! Headend: to the subscriber, who is looked up among those of the label's ISP only.

use contract::counters::Point;
use contract::{DropReason, PortKind, SubscriberId};

use crate::impose::{Entry, impose};
use crate::label_switch::Popped;
use crate::leave::leave;
use crate::packet::{Back, Packet, Passage, Stop};
use crate::tables::Tables;
use crate::turn_round::is_transits;

/// Sends a packet to the subscriber of the ISP whose address its destination is; an error of a transit node's, which is no
/// subscriber's, back to the ISP.
pub(crate) fn access_out<'t>(
    tables: &'t Tables,
    seed: u64,
    packet: &mut Packet<'_>,
    popped: &Popped<'t>,
) -> Result<Passage<'t>, Stop> {
    let address = popped.ip.destination;
    let Some((row, binding)) = tables.by_destination(popped.index, address) else {
        if is_transits(packet, popped)
            && let Some(nhlfes) = popped.isp.nhlfes(ANY_SUBSCRIBER)
        {
            packet.goes(Point::HeadendToIsp);
            return impose(tables, seed, packet.octets(popped.at), &Entry::turned(tables, popped)?, nhlfes);
        }
        return Err(DropReason::NoSubscriber.into());
    };
    if let Some(origin) = &mut packet.origin {
        origin.back = Back::Isp(binding.subscriber);
    }
    let mac = binding.mac.ok_or(Stop::Unresolved { isp: popped.isp.asn, row, address })?;
    leave(tables, packet, binding.circuit, PortKind::Access, mac, popped)
}

/// Stands for a subscriber where none is known, in the choice among an ISP's FECs: any of them leads to the ISP.
pub(crate) const ANY_SUBSCRIBER: SubscriberId = SubscriberId(0);
