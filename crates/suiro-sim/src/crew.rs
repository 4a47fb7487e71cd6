//! A crew that does the jobs of a round in any order: what threads could do, and no more.

use crate::world::World;
use suiro::Seed;
use suiro_engine::{Crew, Job};

/// Does jobs one after another, in an order of its own.
pub(crate) struct SimCrew {
    seed: Seed,
}

impl SimCrew {
    pub(crate) fn new(world: &World) -> Self {
        Self { seed: world.state().seed.fork() }
    }

    fn shuffle(&mut self, jobs: &mut [Job]) {
        for place in (1..jobs.len()).rev() {
            jobs.swap(place, self.seed.below(place as u64 + 1) as usize);
        }
    }
}

impl Crew for SimCrew {
    fn work(&mut self, mut jobs: Vec<Job>) -> Vec<Job> {
        self.shuffle(&mut jobs);
        jobs.iter_mut().for_each(Job::run);
        self.shuffle(&mut jobs);
        jobs
    }
}
