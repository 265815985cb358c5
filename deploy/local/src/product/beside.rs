//! More than one gateway in front of one backend, as in a cluster.

use super::{place::Place, services};
use crate::{config, ports::Ports, room, supervise::Supervised};

/// Another gateway of a product, with the same table on other ports.
#[derive(Debug)]
pub struct Beside {
    _gateway: Supervised,
    /// Where clients come in, by HTTPS.
    pub edge: u16,
    /// Its own: health, metrics.
    pub management: u16,
}

impl Beside {
    pub(super) async fn start(
        place: &Place,
        ports: &Ports,
        redis_url: Option<&str>,
    ) -> anyhow::Result<Self> {
        let [edge, management] = room::free_ports()?;
        let moves = [(ports.edge, edge), (ports.management, management)];
        let table = config::table_beside(&place.routes(), &moves)?;
        let gateway = services::gateway(place, &table, redis_url, management).await?;
        Ok(Self {
            _gateway: gateway,
            edge,
            management,
        })
    }
}
