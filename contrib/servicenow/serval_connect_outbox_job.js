/*
 * Sends what waits in the outbox until serval-connect has acknowledged it with 202.
 *
 * A scheduled script execution of the global scope, every 30 seconds. The outbox are the rows of the ECC queue whose agent is
 * serval_connect: "ready" waits, "processed" is acknowledged, "error" was given up. Each try has a timestamp and a signature
 * of its own, but keeps the row's webhook-id, by which serval-connect stores the webhook once.
 */
(function sendOutbox() {
    var PREFIX = 'x_serval_connect.';
    var SECONDS_PER_RUN = 25;
    // The pause before the next try is as long as the row has waited so far, within these bounds.
    var SHORTEST_PAUSE = 30;
    var LONGEST_PAUSE = 300;
    // Well within the time after which the table rotation of the ECC queue removes a row.
    var GIVE_UP_AFTER = 3 * 24 * 3600;

    var started = seconds(new GlideDateTime());
    var url = property('url');
    // Base64 as it stands behind whsec_; a copied prefix or line end does no harm.
    var key = property('signing_key').replace(/\s/g, '').replace(/^whsec_/, '');

    var row = new GlideRecord('ecc_queue');
    row.addQuery('agent', 'serval_connect');
    row.addQuery('queue', 'output');
    row.addQuery('state', 'ready');
    row.orderBy('sys_created_on');
    row.query();
    while (row.next()) {
        if (seconds(new GlideDateTime()) - started >= SECONDS_PER_RUN) return;
        if (!isDue(row)) continue;
        var goOn = true;
        try {
            goOn = settle(row, send(String(row.getValue('name')), harmless(String(row.getValue('payload')))));
        } catch (ex) {
            gs.error('serval-connect: outbox row ' + row.getUniqueValue() + ': ' + (ex.message || ex));
        }
        if (!goOn) return;
    }

    function isDue(row) {
        if (Number(String(row.getValue('sys_mod_count') || 0)) === 0) return true;
        var created = seconds(new GlideDateTime(row.getValue('sys_created_on')));
        var tried = seconds(new GlideDateTime(row.getValue('sys_updated_on')));
        var pause = Math.max(SHORTEST_PAUSE, Math.min(LONGEST_PAUSE, tried - created));
        return started >= tried + pause;
    }

    // Writes down what came of a try, and says whether the next row has a chance.
    function settle(row, answer) {
        if (answer.status === 202) {
            row.setValue('state', 'processed');
            row.setValue('processed', new GlideDateTime().getValue());
            row.setValue('error_string', '');
            // serval-connect has it on disk; nobody needs the ticket's text here any more.
            row.setValue('payload', '');
            row.update();
            return true;
        }
        var isOfTheRecord = answer.status === 400 || answer.status === 413 || answer.status === 422;
        var created = seconds(new GlideDateTime(row.getValue('sys_created_on')));
        if (isOfTheRecord) {
            giveUp(row, 'refused for good: ' + answer.text);
            return true;
        }
        if (started - created >= GIVE_UP_AFTER) {
            giveUp(row, 'not acknowledged in ' + (GIVE_UP_AFTER / 3600) + ' hours; last: ' + answer.text);
        } else {
            // The time makes each text a new one, so that the row's time of update is the time of the try.
            row.setValue('error_string', new GlideDateTime().getValue() + ' ' + answer.text);
            row.update();
        }
        // Other answers of 4xx may come from a filter in between that dislikes this one text. Everything else, bad
        // signatures among it, would meet all rows alike: the next run asks again.
        var isOfTheReceiver = answer.status < 400 || answer.status >= 500 || answer.status === 401 ||
            answer.status === 404 || answer.status === 408 || answer.status === 429;
        if (isOfTheReceiver) gs.warn('serval-connect: the outbox waits: ' + answer.text);
        return !isOfTheReceiver;
    }

    // Never in silence: the row keeps its body and its fault, the log has a line, and the event can notify somebody.
    function giveUp(row, why) {
        row.setValue('state', 'error');
        row.setValue('error_string', why);
        row.update();
        gs.error('serval-connect: gave up webhook ' + row.getValue('name') + ' about ' + row.getValue('source') + ': ' + why);
        gs.eventQueue('serval_connect.gave_up', row, String(row.getValue('name')), why);
    }

    function send(id, body) {
        if (!url || !key) return { status: 0, text: PREFIX + 'url or ' + PREFIX + 'signing_key is not set' };
        try {
            var now = String(seconds(new GlideDateTime()));
            var mac = new GlideCertificateEncryption().generateMac(key, 'HmacSHA256', id + '.' + now + '.' + body);
            var message = new sn_ws.RESTMessageV2();
            message.setEndpoint(url);
            message.setHttpMethod('post');
            message.setHttpTimeout(10000);
            message.setRequestHeader('Content-Type', 'application/json');
            message.setRequestHeader('Accept', 'application/json');
            message.setRequestHeader('webhook-id', id);
            message.setRequestHeader('webhook-timestamp', now);
            message.setRequestHeader('webhook-signature', 'v1,' + String(mac));
            message.setRequestBody(body);
            var response = message.execute();
            var status = Number(response.getStatusCode());
            return { status: status, text: 'answer ' + status + ' ' + String(response.getErrorMessage() || '') };
        } catch (ex) {
            return { status: 0, text: 'no answer: ' + (ex.message || ex) };
        }
    }

    function seconds(time) {
        return Math.floor(Number(time.getNumericValue()) / 1000);
    }

    // RESTMessageV2 takes ${...} in a body for a variable and replaces it. The rules write no dollar sign; rows of earlier
    // versions of them may have some.
    function harmless(json) {
        return json.replace(/\$/g, '\\u0024');
    }

    function property(name) {
        return String(gs.getProperty(PREFIX + name, '') || '').trim();
    }
})();
