//! The simulator: the real engine and the real embedded log on a simulated clock, disk and
//! scheduler, with faults, and an auditor that knows the right answer.
//!
//! One seed decides everything: the program, its input, the partitions, how the process lives and
//! what goes wrong. A failure is a seed that anybody can replay.
//!
//! | room | what it holds |
//! |---|---|
//! | `program`, `sought`, `act`, `draw`, `build` | random programs: as data, what they do, as plans |
//! | `case`, `fault` | everything that a seed decides, and what can go wrong |
//! | `model` | the right answer, from the rules alone |
//! | `world`, `clock`, `disk`, `tap`, `crew` | time, files, broker and scheduler with faults |
//! | `below`, `objects` | stores below, and the place of snapshots, with faults |
//! | `ledger` | what was acknowledged, which must never change |
//! | `life`, `process`, `group`, `rot` | lives of processes: one, or several that share the tasks |
//! | `audit`, `letters` | how they are held against the model |
//! | `kafka` | another world: the client of Kafka against simulated brokers |
//! | `mutants` | planted bugs, and after how many seeds each is caught |
//! | `chaos` | what is not simulated: processes and brokers of Kafka that are killed |
//! | `sweep`, `shrink`, `counts`, `options` | many seeds, and the failing ones made small |

pub mod act;
mod audit;
mod below;
pub mod build;
pub mod case;
pub mod chaos;
mod clock;
pub mod counts;
mod crew;
mod disk;
pub mod draw;
pub mod fault;
mod group;
pub mod kafka;
mod ledger;
mod letters;
mod life;
pub mod model;
pub mod mutants;
mod objects;
pub mod op;
pub mod options;
mod outside;
mod process;
pub mod program;
mod rot;
mod shrink;
pub mod sought;
mod steps;
pub mod sweep;
mod tap;
mod timers;
mod world;

pub use life::{Report, run};
