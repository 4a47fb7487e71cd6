//! What any sharing must be, whoever comes and goes.

use super::*;
use proptest::prelude::*;
use suiro_core::broker::Offer;

fn task(number: u32) -> TaskId {
    TaskId { subtopology: number % 3, partition: number / 3 }
}

fn of(share: &[(TaskId, Role)], role: Role) -> Vec<TaskId> {
    share.iter().filter(|(_, of)| *of == role).map(|(task, _)| *task).collect()
}

/// A group as it goes on: members do what they are told, and tell it at the next change.
struct World {
    tasks: Vec<TaskId>,
    standbys: u32,
    stateless: Vec<u32>,
    generation: i32,
    members: BTreeMap<String, Told>,
}

impl World {
    fn new(count: u32, standbys: u32, stateless: Vec<u32>) -> Self {
        let tasks = (0..count).map(task).collect();
        Self { tasks, standbys, stateless, generation: 0, members: BTreeMap::new() }
    }

    fn joins(&mut self, name: u8) {
        let (standbys, stateless) = (self.standbys, self.stateless.clone());
        let offer = Some(Offer { standbys, stateless, copies: Vec::new() });
        let told = Told { offer, ..Told::default() };
        self.members.entry(format!("member-{name}")).or_insert(told);
    }

    fn leaves(&mut self, name: u8) {
        self.members.remove(&format!("member-{name}"));
    }

    /// All are told their shares, and have copies that are so far behind.
    fn take(&mut self, shares: &Shares, lag: u64) {
        self.generation += 1;
        for (name, told) in &mut self.members {
            let share = &shares[name];
            told.generation = self.generation;
            told.owned = of(share, Role::Active);
            let copies = share.iter().filter(|(task, role)| {
                *role != Role::Active && !self.stateless.contains(&task.subtopology)
            });
            let offer = told.offer.as_mut().unwrap();
            offer.copies = copies.map(|(task, _)| (*task, lag)).collect();
        }
    }

    fn share(&self) -> Shares {
        share(&self.tasks, &self.members)
    }
}

/// The numbers of tasks that members run.
fn sizes(shares: &Shares) -> Vec<usize> {
    shares.values().map(|share| of(share, Role::Active).len()).collect()
}

fn is_balanced(shares: &Shares) -> bool {
    let sizes = sizes(shares);
    sizes.iter().max().unwrap_or(&0) - sizes.iter().min().unwrap_or(&0) <= 1
}

fn has_state(world: &World, task: TaskId) -> bool {
    !world.stateless.contains(&task.subtopology)
}

#[test]
fn a_dead_members_task_goes_to_its_standby() {
    let mut world = World::new(6, 1, vec![]);
    (0..3).for_each(|name| world.joins(name));
    let shares = world.share();
    world.take(&shares, 0);
    let dead = of(&shares["member-1"], Role::Active);
    let standbys: BTreeMap<TaskId, String> = shares
        .iter()
        .flat_map(|(name, share)| {
            of(share, Role::Standby).into_iter().map(|it| (it, name.clone()))
        })
        .collect();
    world.leaves(1);
    let shares = world.share();
    for task in dead {
        let runs = shares.iter().find(|(_, share)| of(share, Role::Active).contains(&task));
        assert_eq!(runs.map(|(name, _)| name), standbys.get(&task), "{task:?}");
    }
}

#[test]
fn who_comes_warms_up_before_it_runs_anything() {
    let mut world = World::new(4, 0, vec![]);
    world.joins(0);
    let alone = world.share();
    world.take(&alone, 0);
    world.joins(1);
    let shares = world.share();
    assert_eq!(sizes(&shares), [4, 0]);
    assert_eq!(of(&shares["member-1"], Role::WarmUp).len(), 2);
    world.take(&shares, CAUGHT_UP + 1);
    assert_eq!(world.share(), shares);
    world.take(&shares, CAUGHT_UP);
    let shares = world.share();
    assert_eq!(sizes(&shares), [2, 2]);
    assert!(shares.values().all(|share| of(share, Role::WarmUp).is_empty()));
}

#[test]
fn where_nobody_knows_of_state_tasks_move_at_once() {
    let tasks: Vec<TaskId> = (0..4).map(task).collect();
    let had = Told { generation: 1, owned: tasks.clone(), ..Told::default() };
    let members = [("a".to_owned(), had), ("b".to_owned(), Told::default())].into();
    assert_eq!(sizes(&share(&tasks, &members)), [2, 2]);
}

#[test]
fn who_missed_a_generation_claims_nothing_of_another() {
    let mut world = World::new(2, 0, vec![]);
    (0..2).for_each(|name| world.joins(name));
    let (owned, offer) = (world.tasks.clone(), Some(Offer::default()));
    let stale = Told { generation: 3, owned, offer, ..Told::default() };
    let newer = Told { generation: 4, ..stale.clone() };
    world.members = [("a".to_owned(), stale), ("b".to_owned(), newer)].into();
    let shares = world.share();
    assert_eq!(sizes(&shares), [0, 2], "the newer one has both until the other is as far");
}

proptest! {
    #[test]
    fn shares_are_whole_balanced_sticky_and_come_to_rest(
        count in 0..30_u32,
        standbys in 0..3_u32,
        stateless in prop::collection::vec(0..3_u32, 0..2),
        changes in prop::collection::vec((0..6_u8, any::<bool>(), any::<bool>()), 1..10),
    ) {
        let mut world = World::new(count, standbys, stateless);
        for (name, comes, is_quick) in changes {
            match comes {
                true => world.joins(name),
                false => world.leaves(name),
            }
            let before = world.members.clone();
            let shares = world.share();
            let all: Vec<_> = shares.values().flatten().collect();
            for task in &world.tasks {
                let mine = all.iter().filter(|(of, _)| of == task);
                let active = mine.clone().filter(|(_, role)| *role == Role::Active).count();
                prop_assert_eq!(active, usize::from(!before.is_empty()), "{:?}", task);
                // Each role of a task is at another member, and so many copies there are.
                let copies = mine.count() - active;
                let others = before.len().saturating_sub(1);
                let wanted = (standbys as usize).min(others);
                if has_state(&world, *task) {
                    prop_assert!(copies >= wanted && copies <= wanted.max(1));
                } else {
                    prop_assert_eq!(copies, 0);
                }
            }
            for share in shares.values() {
                let mut tasks: Vec<_> = share.iter().map(|(task, _)| *task).collect();
                tasks.dedup();
                prop_assert_eq!(tasks.len(), share.len());
            }
            // A task with state that somebody ran moves to who is as far only.
            for (name, told) in &before {
                for task in told.owned.iter().filter(|task| has_state(&world, **task)) {
                    let runs = shares.iter().find(|(_, share)| of(share, Role::Active).contains(task));
                    let (to, _) = runs.unwrap();
                    let copies = &before[to].offer.as_ref().unwrap().copies;
                    let is_far = copies.iter().any(|(of, lag)| of == task && *lag <= CAUGHT_UP);
                    prop_assert!(to == name || is_far, "{task:?} from {name} to {to}");
                }
            }
            world.take(&shares, if is_quick { 0 } else { CAUGHT_UP + 5 });
            // Nobody gives up what is not more than its share.
            for (name, told) in &before {
                let kept = &world.members[name].owned;
                let kept = told.owned.iter().filter(|task| kept.contains(task)).count();
                prop_assert!(kept >= told.owned.len().min(count as usize / before.len()));
            }
            // With copies that catch up it comes to rest, balanced, and stays there.
            if is_quick {
                for _ in 0..2 {
                    let shares = world.share();
                    world.take(&shares, 0);
                }
                let rests = world.share();
                prop_assert!(is_balanced(&rests), "{rests:?}");
                prop_assert!(rests.values().all(|share| of(share, Role::WarmUp).is_empty()));
                world.take(&rests, 0);
                prop_assert_eq!(&world.share(), &rests);
            }
        }
    }
}
