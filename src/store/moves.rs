//! Slack channels that get a new id: what is stored about their threads moves along, in the
//! transaction that stores the notice.

use super::error::StoreError;
use super::inbox::Webhook;
use super::writer::Tx;
use crate::domain::event::ChannelMove;
use crate::domain::ids::SourceName;

/// Applies the moves that `webhooks` announce. A delivery that is repeated finds nothing to move.
pub(super) async fn apply(tx: &mut Tx, webhooks: &[Webhook]) -> Result<(), StoreError> {
    for webhook in webhooks {
        for channel_move in webhook
            .events
            .iter()
            .filter_map(|event| event.channel_move.as_ref())
        {
            move_channel(tx, &webhook.source, channel_move).await?;
        }
    }
    Ok(())
}

async fn move_channel(
    tx: &mut Tx,
    source: &SourceName,
    channel_move: &ChannelMove,
) -> Result<(), StoreError> {
    // `C1:` up to, not including, `C1;`: all threads of the channel. A thread that is known under
    // the new id already keeps what it has.
    const MAPPINGS: &str = "\
        -- store::moves::mappings
        UPDATE OR IGNORE mappings SET external_id = $4 || substr(external_id, $5)
        WHERE source = $1 AND external_id >= $2 AND external_id < $3";
    const CONNECTIONS: &str = "\
        -- store::moves::connections
        UPDATE OR IGNORE connections SET external_id = $4 || substr(external_id, $5)
        WHERE source = $1 AND external_id >= $2 AND external_id < $3";
    const EVENTS: &str = "\
        -- store::moves::events
        UPDATE OR IGNORE events SET external_id = $4 || substr(external_id, $5)
        WHERE source = $1 AND external_id >= $2 AND external_id < $3";
    let (from, until) = (
        format!("{}:", channel_move.from),
        format!("{};", channel_move.from),
    );
    let rest = i64::try_from(channel_move.from.len()).unwrap_or(i64::MAX) + 1;
    for statement in [MAPPINGS, CONNECTIONS, EVENTS] {
        sqlx::query(statement)
            .bind(source.as_str())
            .bind(&from)
            .bind(&until)
            .bind(&channel_move.to)
            .bind(rest)
            .execute(&mut tx.connection)
            .await?;
    }
    tracing::info!(
        %source,
        from = channel_move.from,
        to = channel_move.to,
        "a Slack channel has a new id; mappings and events moved along"
    );
    Ok(())
}
