//! What the API answers.

mod sessions;

use std::collections::BTreeSet;

use api::{FecState, NeighborKind, ServiceRole, ShowWhat};
use contract::counters::{IspSlot, Memory, Point, PortCounter, Tally};
use contract::{Asn, Circuit, DropReason, Fec, Label, PortBackend, PortState, SubscriberId, Tick, VlanTags};
use network::FecKind;
use serde_json::Value;
use subscriber::Service;

use super::api_server::Question;
use super::directory::PageQuery;
use super::lsp::{LspRow, Out};
use super::node::Node;
use crate::counters::CountersFile;

impl Node {
    /// The answer to a question to the API.
    pub(crate) fn answer(&self, now: Tick, question: Question) -> Value {
        let what = match question {
            Question::Node => return json(&self.node_info()),
            Question::Show(what) => what,
        };
        match what {
            ShowWhat::Node => json(&self.node_info()),
            ShowWhat::Isps => json(&self.isps(now)),
            ShowWhat::Fec => json(&self.fec_rows()),
            ShowWhat::Lib => json(&self.lib()),
            ShowWhat::Neighbors => json(&self.neighbors(now)),
            ShowWhat::Adjacencies => json(&self.adjacencies(now)),
            ShowWhat::Ldp => json(&self.ldp(now)),
            // The API's server asks for these page by page.
            ShowWhat::Subscribers => Value::Array(Vec::new()),
            ShowWhat::Counters => {
                json(&self.counted(|memory| self.counter_rows(memory)).unwrap_or_else(no_counters))
            }
            ShowWhat::Drops => json(&self.counted(|memory| self.drop_rows(memory)).unwrap_or_default()),
            ShowWhat::Ports => json(&self.port_rows()),
        }
    }

    fn node_info(&self) -> api::NodeInfo {
        api::NodeInfo {
            node: self.view.name.as_str().to_owned(),
            network: self.network.name().as_str().to_owned(),
            lsr_id: self.view.lsr_id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            forwarder: self.link.is_connected(),
            up_to_date: self.link.is_up_to_date(),
            recovering: self.recovering,
            digest: self.network.digest().to_owned(),
            loaded_at: self.loaded_at.into(),
        }
    }

    fn isps(&self, now: Tick) -> Vec<api::Isp> {
        self.network.isps().iter().map(|isp| self.isp(now, isp)).collect()
    }

    /// Where a handoff is, if it is this node's.
    fn own_circuit(&self, handoff: &network::model::Handoff) -> Option<Circuit> {
        let tags = handoff.vlan.map_or(VlanTags::None, VlanTags::Single);
        let (port, _) = self.view.port(handoff.port.as_str()).filter(|_| handoff.node == self.view.name)?;
        Some(Circuit { port, tags })
    }

    /// How this node's handoff has been.
    fn handoff_health(&self, now: Tick, circuit: Circuit) -> Option<api::HandoffHealth> {
        let health = self.handoffs.health(now, circuit)?;
        Some(api::HandoffHealth {
            seconds: now.since(health.since).as_secs(),
            failures: health.failures,
            penalty: health.penalty as u32,
            held_for: health.held_until.map(|until| until.since(now).as_secs() + 1),
        })
    }

    fn isp(&self, now: Tick, isp: &network::model::Isp) -> api::Isp {
        let up = |fec| self.rows().any(|row| row.fec.0.addr() == fec && row.state == FecState::Up);
        let handoffs = isp.handoffs.iter().map(|handoff| api::IspHandoff {
            node: handoff.node.as_str().to_owned(),
            port: handoff.port.as_str().to_owned(),
            vlan: handoff.vlan,
            fec: ipnet::IpNet::from(handoff.fec),
            preference: handoff.preference.value().into(),
            up: up(handoff.fec),
            waits: self.own_circuit(handoff).is_some_and(|own| self.handoffs.waiting().contains(&own)),
            health: self.own_circuit(handoff).and_then(|own| self.handoff_health(now, own)),
        });
        let handoffs: Vec<_> = handoffs.collect();
        let headend = self.view.headends.iter().find(|headend| headend.isp == isp.asn);
        api::Isp {
            asn: isp.asn,
            name: isp.name.as_str().to_owned(),
            pools: headend.map_or_else(Vec::new, |h| h.pools.iter().map(|pool| pool.prefix).collect()),
            subscribers: self.subscribers.directory().services_of(isp.asn),
            reachable: headend.map(|_| handoffs.iter().any(|handoff| handoff.up)),
            handoffs,
        }
    }

    fn fec(&self, fec: Fec) -> api::Fec {
        let owner = self.view.fec_owner(&fec);
        api::Fec {
            prefix: fec.0,
            isp: owner.map(|owner| owner.isp),
            isp_name: owner.map(|owner| self.isp_name(owner.isp)),
            role: match owner.map(|owner| owner.kind) {
                Some(FecKind::ToIsp) => ServiceRole::ToIsp,
                Some(FecKind::ToSubscriber) => ServiceRole::ToSubscriber,
                None => ServiceRole::Other,
            },
        }
    }

    fn fec_rows(&self) -> Vec<api::FecRow> {
        let in_use = self.speaker.received().filter(|(_, _, received)| received.in_use);
        let unnamed = in_use.filter(|(_, _, received)| !received.named);
        let unnamed: BTreeSet<_> = unnamed.map(|(_, fec, received)| (fec, received.label)).collect();
        self.rows().map(|row| self.fec_row(row, &unnamed)).collect()
    }

    /// A label in use that was told without its FEC's owner comes from another make of LDP.
    fn fec_row(&self, row: &LspRow, unnamed: &BTreeSet<(Fec, Label)>) -> api::FecRow {
        let (out_label, next_hop, port) = match row.out {
            Out::Nowhere => (None, None, None),
            Out::Neighbor(label, address, port) => {
                (Some(label), Some(address.to_string()), port.map(|port| self.port_name(port)))
            }
            Out::Handoff(circuit) => {
                (None, Some(self.circuit_name(circuit)), Some(self.port_name(circuit.port)))
            }
            Out::Subscribers => (None, Some("subscribers".to_owned()), None),
        };
        let fec = self.fec(row.fec);
        let (in_label, operation, state) = (row.in_label, row.operation, row.state);
        let unverified = out_label.is_some_and(|label| unnamed.contains(&(row.fec, label)));
        api::FecRow { fec, in_label, operation, out_label, next_hop, port, state, unverified }
    }

    fn lib(&self) -> Vec<api::LibRow> {
        let mut rows = Vec::new();
        for entry in self.speaker.lib() {
            let row = |side, label, in_use, stale| {
                let (fec, peer) = (self.fec(entry.fec), entry.peer.lsr_id);
                api::LibRow { fec, peer, side, label, in_use, stale }
            };
            rows.extend(entry.received.map(|r| row(api::BindingSide::Received, r.label, r.in_use, r.stale)));
            let sent = entry.sent.filter(|sent| sent.state != ldp::SentState::Withdrawn);
            rows.extend(sent.map(|sent| row(api::BindingSide::Sent, sent.label, false, false)));
        }
        rows
    }

    fn neighbors(&self, now: Tick) -> Vec<api::Neighbor> {
        let mut rows = self.ldp_neighbors(now);
        rows.extend(self.kernel.routes.values().flat_map(|route| &route.next_hops).map(|hop| {
            let mac = self.kernel.macs.get(hop).copied();
            api::Neighbor {
                kind: NeighborKind::Backbone,
                address: hop.address,
                via: self.kernel.port(hop.link).map(|port| self.port_name(port)).into_iter().collect(),
                mac,
                state: if mac.is_some() { "reachable" } else { "incomplete" }.to_owned(),
                seconds: None,
                detail: String::new(),
            }
        }));
        rows.dedup();
        let handoffs = self.handoffs.neighbors().map(|n| (NeighborKind::Handoff, n));
        let subscribers = self.subscribers.neighbors().map(|n| (NeighborKind::Subscriber, n));
        rows.extend(handoffs.chain(subscribers).map(|(kind, neighbor)| api::Neighbor {
            kind,
            address: neighbor.address,
            via: vec![self.circuit_name(neighbor.circuit)],
            mac: neighbor.mac,
            state: neighbor.state.name().to_owned(),
            seconds: neighbor.heard.map(|heard| now.since(heard).as_secs()),
            detail: match kind {
                NeighborKind::Handoff => self.handoff_detail(now, neighbor.circuit),
                _ => String::new(),
            },
        }));
        let mut seen = std::collections::BTreeSet::new();
        rows.retain(|row| seen.insert((row.kind, row.address, row.via.clone())));
        rows
    }

    fn handoff_detail(&self, now: Tick, circuit: Circuit) -> String {
        let Some(health) = self.handoffs.health(now, circuit).filter(|health| health.failures > 0) else {
            return String::new();
        };
        let mut detail = vec![
            format!("handoff failed {} times", health.failures),
            format!("penalty {:.0}", health.penalty),
        ];
        let held = health.held_until.map(|until| until.since(now).as_secs() + 1);
        detail.extend(held.map(|seconds| format!("held down for {seconds} s")));
        detail.join(", ")
    }

    /// A page of subscribers, with no more than so many looked at.
    pub(super) fn subscriber_page(&self, now: Tick, query: &PageQuery) -> api::SubscriberPage {
        let directory = self.subscribers.directory();
        let mut page = api::SubscriberPage { rows: Vec::new(), next: None };
        let wanted = |isp| query.isp.is_none_or(|wanted| wanted == isp);
        let mut add = |id: SubscriberId, name: &str| {
            let services = directory.services_of_subscriber(id).filter(|service| wanted(service.isp));
            page.rows.extend(services.map(|service| self.subscriber_row(now, name, &service)));
        };
        if let Some(name) = &query.subscriber {
            if let Some(id) = directory.id(name) {
                add(id, name);
            }
            return page;
        }
        let mut place = query.from;
        for _ in 0..query.limit.clamp(1, api::MAX_PAGE) {
            let Some((after, id, name)) = directory.subscriber_from(place) else { return page };
            add(id, name);
            place = after;
        }
        page.next = Some(place.to_string());
        page
    }

    fn subscriber_row(&self, now: Tick, name: &str, service: &Service<'_>) -> api::Subscriber {
        let directory = self.subscribers.directory();
        let mac = || service.prefixes.iter().find_map(|p| directory.locate(service.isp, p.addr())?.mac);
        api::Subscriber {
            subscriber: name.to_owned(),
            isp: service.isp,
            isp_name: self.isp_name(service.isp),
            port: self.port_name(service.circuit.port),
            tags: service.circuit.tags,
            prefixes: service.prefixes.to_vec(),
            mac: service.mac.or_else(mac),
            mac_configured: service.mac.is_some(),
            plan: service.plan.map(str::to_owned),
            leaving_for: service.leaving.map(|end| end.since(now).as_secs() + 1),
        }
    }

    /// What the forwarder counted; `None` while there is nothing to read.
    fn counted<T>(&self, read: impl FnOnce(Memory) -> T) -> Option<T> {
        let file = CountersFile::open(&self.counters).ok()?;
        Some(read(file.memory().ok()?))
    }

    fn counter_rows(&self, memory: Memory) -> api::Counters {
        let slots: std::collections::BTreeMap<Asn, IspSlot> = memory.isps().collect();
        let isps = self.view.isp_names.iter().map(|(&isp, name)| {
            let at = |point| slots.get(&isp).map(|slot| account(&memory, *slot, point)).unwrap_or_default();
            let drops = |slot: &IspSlot| DropReason::ALL.iter().map(|r| memory.isp_drops(*slot, *r)).sum();
            api::IspTraffic {
                isp,
                isp_name: name.as_str().to_owned(),
                headend_to_isp: at(Point::HeadendToIsp),
                headend_to_subscriber: at(Point::HeadendToSubscriber),
                tailend_to_isp: at(Point::TailendToIsp),
                tailend_to_subscriber: at(Point::TailendToSubscriber),
                drops: slots.get(&isp).map_or(0, drops),
            }
        });
        let ports = self.view.ports().map(|(id, port)| {
            let count = |counter| memory.port(id, counter);
            api::PortTraffic {
                port: port.name.as_str().to_owned(),
                rx_frames: count(PortCounter::RxFrames),
                rx_octets: count(PortCounter::RxOctets),
                tx_frames: count(PortCounter::TxFrames),
                tx_octets: count(PortCounter::TxOctets),
                punted: count(PortCounter::Punted),
                originated: count(PortCounter::Originated),
                consumed: count(PortCounter::Consumed),
                switched_packets: count(PortCounter::SwitchedPackets),
                switched_octets: count(PortCounter::SwitchedOctets),
                drops: DropReason::ALL.iter().map(|reason| memory.port_drops(id, *reason)).sum(),
            }
        });
        api::Counters { isps: isps.collect(), ports: ports.collect() }
    }

    fn drop_rows(&self, memory: Memory) -> Vec<api::DropRow> {
        let all = self.view.ports().flat_map(|(id, port)| {
            DropReason::ALL.iter().map(move |reason| api::DropRow {
                port: port.name.as_str().to_owned(),
                reason: reason.name().to_owned(),
                meaning: reason.meaning().to_owned(),
                frames: memory.port_drops(id, *reason),
            })
        });
        all.filter(|row| row.frames > 0).collect()
    }

    fn port_rows(&self) -> Vec<api::Port> {
        self.view.ports().map(|(id, port)| port_row(port, self.ports.get(&id))).collect()
    }
}

fn account(memory: &Memory, slot: IspSlot, point: Point) -> api::Account {
    let tally = |tally| memory.tally(slot, point, tally);
    api::Account {
        received: tally(Tally::Received),
        sent: tally(Tally::Sent),
        originated: tally(Tally::Originated),
        extra_fragments: tally(Tally::ExtraFragments),
        dropped: tally(Tally::Dropped),
        consumed: tally(Tally::Consumed),
    }
}

fn port_row(port: &network::model::Port, state: Option<&PortState>) -> api::Port {
    let row = |state: &str, up| api::Port {
        port: port.name.as_str().to_owned(),
        kind: port.kind,
        state: state.to_owned(),
        up,
        backend: None,
        mac: None,
        mtu: None,
    };
    match state {
        None => row("not opened yet", false),
        Some(PortState::Unusable(why)) => row(why, false),
        Some(PortState::Open { mac, mtu, carrier, backend }) => {
            let backend = match backend {
                PortBackend::AfPacket => "af_packet",
                PortBackend::Memory => "memory",
            };
            api::Port {
                backend: Some(backend.to_owned()),
                mac: Some(*mac),
                mtu: Some(*mtu),
                ..row(if *carrier { "up" } else { "no carrier" }, *carrier)
            }
        }
    }
}

fn no_counters() -> api::Counters {
    api::Counters { isps: Vec::new(), ports: Vec::new() }
}

fn json(value: &impl serde::Serialize) -> Value {
    // The API's types have nothing that JSON has not.
    serde_json::to_value(value).unwrap_or_default()
}
