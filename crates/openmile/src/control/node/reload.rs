//! The node goes on with another network file: what is the same stays untouched.
//!
//! Each part is told what it should be from now on and finds out itself what of that is news, so that a reload ends where
//! a start with the new file would. What goes is told before what comes, wherever the one
//! could be taken for the other: a label, a port or a handoff never changes hands.

use network::Difference;

use super::*;
use crate::control::directory;
use crate::control::kernel::Interest;
use crate::control::reload::Loaded;

impl Node {
    /// What the network file alone says that the forwarder should hold, but for bindings.
    pub(super) fn configured(view: &NodeView) -> Vec<Change> {
        let lsp_mtu = view.lsp_mtu.map(LspMtu::octets);
        let mut changes = vec![Change::Settings(Settings { ttl: view.ttl, lsp_mtu })];
        changes.extend(view.ports().map(|(id, port)| {
            let config = PortConfig { device: port.name.as_str().to_owned(), kind: port.kind };
            Change::Port(id, Some(config))
        }));
        changes.extend(view.isps.iter().map(|isp| Change::Isp(isp.isp, Some(isp.config.clone()))));
        changes
    }

    /// Why the node cannot go on with this file, if it cannot, in sentences.
    pub(crate) fn judge(&self, loaded: &Loaded) -> Result<(), Vec<String>> {
        let difference = Difference::new(&self.network, &loaded.network, self.view.name.as_str());
        let obstacles =
            difference.obstacles.iter().map(|obstacle| format!("{obstacle}: {}", obstacle.remedy()));
        let mut reasons: Vec<_> = obstacles.collect();
        reasons.extend(self.desk.judge(loaded.network.subscribers_file().is_some(), &loaded.view));
        // The one that comes was made for the network file that is.
        if self.subscribers.is_being_replaced() {
            reasons.push(directory::BUSY.to_owned());
        }
        if loaded.directory.is_none() {
            reasons.extend(self.subscribers.directory().misfits(&loaded.facts));
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// Goes on with another network file, which [`Self::judge`] found nothing against.
    pub(crate) fn reload(&mut self, now: Tick, loaded: Loaded) {
        let Loaded { network, view, facts, directory, neighbors, at } = loaded;
        self.leave_ports(now, &view);
        self.leave_fecs(now, &view);
        if self.recovering {
            let Inheritance { kept, corrections, .. } =
                Inheritance::new(std::mem::take(&mut self.inherited), &view);
            self.inherited = kept;
            self.link.ledger().correct_first(corrections);
        }
        let old = std::mem::replace(&mut self.view, view);
        (self.network, self.loaded_at) = (network, at);
        let ldp = crate::control::start::ldp_config(&self.view, at);
        self.speaker.handle_proposals(now, ldp.proposals());
        self.speaker.handle_neighbors(now, neighbors);
        self.speaker.handle_owners(now, ldp.owners);
        self.link.ledger().set_configured(Self::configured(&self.view));
        self.handoffs.reconfigure(now, &self.view);
        for (fec, live) in self.handoffs.fecs() {
            self.speaker.handle_egress(now, fec, live);
        }
        for headend in &self.view.headends {
            self.speaker.handle_egress(now, headend.return_fec, true);
        }
        self.desk.reload(self.network.subscribers_file(), facts.clone());
        match directory {
            Some(heir) => self.subscribers.replace(heir),
            None => {
                let clock = self.clock(now);
                for change in self.subscribers.refit(&facts, clock) {
                    self.link.ledger().set(change);
                }
            }
        }
        if old.lsp_mtu != self.view.lsp_mtu {
            let ports: Vec<_> = self.ports.iter().map(|(id, state)| (*id, state.clone())).collect();
            ports.iter().for_each(|(id, state)| self.check_mtu(*id, state));
        }
        self.places = Places::of(&self.view);
        self.news.all = true;
    }

    /// Ports that are no more are down from now on, whatever the forwarder still says of them.
    fn leave_ports(&mut self, now: Tick, new: &NodeView) {
        let gone: Vec<_> = self.view.ports().filter(|(id, port)| new.ports.get(id) != Some(port)).collect();
        let gone: Vec<_> = gone.into_iter().map(|(id, port)| (id, port.kind)).collect();
        for (id, kind) in gone {
            let removed = PortState::Unusable("it is not in the network file any more".to_owned());
            match kind {
                PortKind::Access => self.subscribers.port(id, &removed),
                PortKind::Handoff => self.handoffs.port(now, id, &removed),
                PortKind::Backbone => self.interface(now, id, None),
            }
            self.ports.remove(&id);
        }
    }

    /// FECs that are no more, or another node's by now, lose their labels, which nobody gets before their time. What was
    /// theirs does not come back with them: they may be another ISP's then.
    fn leave_fecs(&mut self, now: Tick, new: &NodeView) {
        let hosts = Interest::of(new).hosts;
        let gone: Vec<_> = Interest::of(&self.view).hosts.difference(&hosts).copied().collect();
        for host in gone {
            self.speaker.handle_route(now, IpNet::from(host), &[]);
            self.kernel.routes.remove(&host);
        }
        let own = new.own_fecs();
        for fec in self.view.own_fecs().into_iter().filter(|fec| !own.contains(fec)) {
            self.speaker.handle_egress(now, fec, false);
        }
        // Labels that are withdrawn by that are named now, and not when the FEC may be known again.
        while let Some(event) = self.speaker.poll_event() {
            self.ldp_said(event);
        }
        let same = |fec: &Fec| {
            let whose = |view: &NodeView| view.fec_owner(fec).map(|owner| (owner.isp, owner.kind));
            whose(new).is_some() && whose(new) == whose(&self.view)
        };
        self.dead.extend(self.retired.take(|fec| !same(fec)));
        self.null_labels.retain(|fec, _| same(fec));
    }

    /// Says so if a backbone port has become too small for the network's LSPs. It goes on carrying what fits.
    pub(super) fn check_mtu(&self, port: PortId, state: &PortState) {
        let backbone = self.port_of(port).is_some_and(|(_, kind)| kind == PortKind::Backbone);
        if let (true, PortState::Open { mtu, .. }, Some(lsp_mtu)) = (backbone, state, self.view.lsp_mtu)
            && *mtu < lsp_mtu.device_mtu()
        {
            let (name, needed) = (self.port_name(port), lsp_mtu.device_mtu());
            self.events.alarm(format!(
                "the MTU of {name} is {mtu}, and LSPs of {lsp_mtu} octets need {needed}: longer packets are lost there. \
                 ip link set {name} mtu {needed}"
            ));
        }
    }
}
