//! What each process runs: `count`, and in one app of its own all other programs.

use crate::{joins, options, program, visits};
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};
use suiro::{App, Log, Result, Running, Topology};

/// Runs both until the process gets SIGTERM, and gives its exit code.
pub fn main(args: Vec<OsString>) -> u8 {
    let others = Arc::new(Mutex::new(Some(start(&args).unwrap())));
    end_with(Arc::clone(&others));
    let code = program::main(args);
    // If there are no others, the process ends at any moment.
    let ended = others.lock().unwrap().take().map_or(Ok(()), Running::shutdown);
    if let Err(error) = ended {
        eprintln!("the other programs: {}", error.report());
        return 1;
    }
    code
}

/// Starts the other programs with what `count` is told, but for the name of the app, and where it
/// keeps its state, which is told last.
fn start(args: &[OsString]) -> Result<Running> {
    let state = Path::new(args.last().unwrap()).join("others");
    let own = ["--app".into(), "others".into(), "--state".into(), state.into_os_string()];
    let options = options::parse(args.iter().cloned().chain(own)).unwrap().unwrap();
    let topology = Topology::new(&options.shared.app);
    visits::in_the_open(&topology);
    joins::draw(&topology);
    let place = options.shared.open(Log::options(), &options.dir)?;
    let app = App::new(topology.build()?, place.broker).threads(options.threads);
    options.shared.apply(app, &options.dir)?.start()
}

/// Ends the process when the other programs end by themselves.
fn end_with(others: Arc<Mutex<Option<Running>>>) {
    let ended = others.lock().unwrap().as_ref().unwrap().ended();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(ended);
        if let Some(others) = others.lock().unwrap().take() {
            eprintln!("the other programs have ended: {:?}", others.wait());
            std::process::exit(1);
        }
    });
}
