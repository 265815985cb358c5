//! The product as `make run` starts it, with a durable PostgreSQL and people of the bench's own.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, ensure};
use local::people::Person;
use local::ports::Ports;
use local::product::{Options, Product};
use local::room;

use crate::users::client::{Client, Connection};

/// So many that no two of a flood's sign-ins are in each other's way, and one more: who gets a password
/// wrong too often is of no use for anything else.
const PEOPLE: usize = 65;

pub(super) struct Stage {
    pub(super) product: Product,
    ca: Vec<u8>,
}

impl Stage {
    pub(super) async fn open() -> anyhow::Result<Self> {
        let options = Options::temporary()?;
        let place = &options.place;
        fs::write(place.routes(), table(&options.ports)).context("write the table")?;
        fs::create_dir_all(place.var())?;
        fs::write(place.demo(), serde_json::to_string(&people()?)?).context("write the people")?;
        let product = Product::start(options).await?;
        let ca = fs::read(product.place().ca())?;
        Ok(Self { product, ca })
    }

    fn edge(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.product.ports().edge))
    }

    /// The n-th of the people, at an address of their own.
    pub(super) fn client(&self, number: usize, connection: Connection) -> anyhow::Result<Client> {
        let person = self
            .product
            .people()
            .get(number)
            .context("no such person")?;
        let address = u8::try_from(number + 2)?;
        Client::new(self.edge(), &self.ca, address, person, connection)
    }

    /// What psql prints of a statement's result.
    pub(super) fn ask(&self, statement: &str) -> anyhow::Result<String> {
        let cluster = self.product.cluster().context("a cluster of our own")?;
        let output = Command::new("psql")
            .args(["-XAtc", statement, &cluster.url()])
            .output()
            .context("start psql")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "psql: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn table(ports: &Ports) -> String {
    let moved = [
        ("{edge}", ports.edge),
        ("{management}", ports.management),
        ("{apps}", ports.apps),
        ("{private}", ports.private),
    ];
    let table = include_str!("routes.yaml").to_owned();
    moved.iter().fold(table, |table, (name, port)| {
        table.replace(name, &port.to_string())
    })
}

fn people() -> anyhow::Result<Vec<Person>> {
    let person = |number| {
        Ok(Person {
            email: format!("bench-{number}@example.com"),
            password: room::random_hex::<10>()?,
            role: "user".to_owned(),
        })
    };
    (0..PEOPLE).map(person).collect()
}
