use gogochat_edge::OutOfReach;

use super::*;

/// An edge attached to core-1, and other edges, under a clock of its own.
struct Sim {
    failover: State,
    now: Instant,
    others: Vec<EdgeNode>,
}

impl Sim {
    fn new(others: Vec<EdgeNode>) -> Self {
        Self { failover: State { is_ready: true, ..State::default() }, now: Instant::now(), others }
    }

    /// For so many seconds `away` is out of reach: in which of them clients were sent away, and where to.
    fn pass(&mut self, seconds: u64, away: &[(&str, bool)]) -> Vec<(u64, Vec<String>)> {
        let away =
            away.iter().map(|(name, lives)| OutOfReach { name: (*name).into(), away: Duration::ZERO, lives: *lives });
        let reach = Reach { attached: vec!["core-1".into()], away: away.collect() };
        (1..=seconds)
            .filter_map(|second| {
                self.now += Duration::from_secs(1);
                Some((second, self.failover.tick(&reach, &self.others, 0.5, self.now)?))
            })
            .collect()
    }

    fn says(&self) -> (bool, String) {
        match self.failover.ready() {
            Ok(said) => (true, said.unwrap_or_default()),
            Err(said) => (false, said),
        }
    }
}

fn edge(name: &str, cores: &[&str]) -> EdgeNode {
    let cores = cores.iter().map(|core| (*core).to_owned()).collect();
    EdgeNode { name: name.into(), url: format!("https://{name}.example"), cores }
}

const ALL: [&str; 2] = ["core-1", "core-2"];
const CUT: [(&str, bool); 1] = [("core-2", true)];

#[test]
fn clients_go_once_to_those_who_reach_all() {
    let nameless = EdgeNode { url: String::new(), ..edge("edge-4", &ALL) };
    let mut sim = Sim::new(vec![edge("edge-2", &ALL), edge("edge-3", &["core-2"]), nameless]);
    assert_eq!(sim.pass(10, &CUT), []);
    assert_eq!(sim.says(), (true, "core-2 cannot be reached".into()));
    assert_eq!(sim.pass(25, &CUT), []);
    assert_eq!(sim.says(), (false, "core-2 cannot be reached".into()));
    let there = || vec!["https://edge-2.example".to_owned()];
    assert_eq!(sim.pass(600, &CUT), [(1, there()), (301, there())], "and those who come later");
    assert!(!sim.says().0, "it stays so until the core is within reach");
    assert_eq!(sim.pass(1, &[]), []);
    assert_eq!(sim.says(), (true, String::new()));
    assert_eq!(sim.pass(60, &CUT).len(), 1, "another time");
}

#[test]
fn where_most_are_cut_off_everybody_stays() {
    let mut sim = Sim::new(vec![edge("edge-2", &ALL), edge("edge-3", &["core-1"])]);
    assert_eq!(sim.pass(600, &CUT), []);
    assert_eq!(sim.says(), (true, "core-2 cannot be reached".into()));
    sim.others.push(edge("edge-4", &ALL));
    assert_eq!(sim.pass(40, &CUT).len(), 1);
}

#[test]
fn a_moment_in_which_nobody_says_what_it_reaches_changes_nothing() {
    let mut sim = Sim::new(vec![edge("edge-2", &ALL)]);
    assert_eq!(sim.pass(20, &CUT), []);
    sim.others = vec![edge("edge-2", &[])];
    assert_eq!(sim.pass(4, &CUT), []);
    assert!(!sim.says().0);
    sim.others = vec![edge("edge-2", &ALL)];
    assert_eq!(sim.pass(20, &CUT).len(), 1);
    sim.others = vec![edge("edge-2", &[])];
    sim.pass(5, &CUT);
    assert!(sim.says().0, "nobody is known to be better");
}

#[test]
fn where_nobody_reaches_the_core_everybody_stays() {
    let mut sim = Sim::new(vec![edge("edge-2", &["core-1"]), edge("edge-3", &["core-2"])]);
    assert_eq!(sim.pass(600, &CUT), []);
    assert_eq!(sim.says(), (true, "core-2 cannot be reached".into()));
    // It is within reach again, of another edge a moment before this one.
    sim.others = vec![edge("edge-2", &ALL)];
    assert_eq!(sim.pass(5, &CUT), []);
    assert!(sim.says().0);
    assert_eq!(sim.pass(1, &[]), []);
    assert_eq!(sim.says(), (true, String::new()));
}

#[test]
fn one_that_nobody_knows_to_be_up_is_not_missed() {
    let mut sim = Sim::new(vec![edge("edge-2", &ALL)]);
    assert_eq!(sim.pass(600, &[("core-2", false)]), []);
    assert_eq!(sim.says(), (true, String::new()));
}

#[test]
fn one_without_another_edge_serves_on() {
    let mut sim = Sim::new(Vec::new());
    assert_eq!(sim.pass(600, &CUT), []);
    assert!(sim.says().0);
    // One without an address of its own takes new clients by the one that all share.
    sim.others = vec![EdgeNode { url: String::new(), ..edge("edge-2", &ALL) }];
    assert_eq!(sim.pass(600, &CUT), []);
    assert!(!sim.says().0);
}
