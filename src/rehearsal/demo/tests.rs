use super::*;
use crate::rehearsal::mock_serval::Fault;

/// Plays the demo against a Serval with these faults: the good steps, and the faults of all.
async fn outcome(faults: &[&str], patience: Duration) -> (Vec<bool>, Vec<String>) {
    let faults: Vec<Fault> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let mock = MockConfig {
        faults,
        ..MockConfig::default()
    };
    let (stage, app) = Stage::set_up(mock, patience).await.unwrap();
    let folder = stage.database.parent().unwrap().to_owned();
    assert!(folder.exists());
    let stop = CancellationToken::new();
    let told = async {
        let mut steps = Vec::new();
        let good = play(&stage, |_, account| steps.push(account.is_good())).await;
        assert_eq!(good, steps.iter().filter(|good| **good).count());
        let faults = check_all(&stage);
        stop.cancel();
        (steps, faults)
    };
    let (ended, told) = tokio::join!(app.run(stop.clone().cancelled_owned()), told);
    ended.unwrap();
    stage.tear_down().await;
    assert!(!folder.exists());
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_sound_serval_every_step_is_good() {
    let (steps, faults) = outcome(&[], PATIENCE).await;
    assert_eq!(steps, [true; 8]);
    assert_eq!(faults, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_does_not_arrive_as_expected_is_noticed() {
    // Serval refuses the first ticket always: what depends on it fails, the rest does not.
    let (steps, faults) = outcome(&["status=400,ticket=ticket-vpn"], PATIENCE).await;
    assert_eq!(
        steps,
        [false, true, true, true, false, true, true, true],
        "{faults:?}"
    );
    assert_eq!(faults, ["ticket-vpn is not connected as it should be"]);
    // An answer gets lost, and the call has to be looked into: it comes to its end, but not so.
    let (steps, _) = outcome(&["drop,count=1,ticket=ticket-desk"], PATIENCE).await;
    assert!(!steps[1] && steps[0] && steps[2]);
}
