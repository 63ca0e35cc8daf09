/*
 * Tells serval-connect about saved incidents and requested items.
 *
 * A business rule of the global scope: when "after", order 10000, insert and update, advanced; one on incident and the same
 * on sc_req_item. Everything that differs between instances is in system properties; docs/servicenow.md goes through them.
 *
 * With x_serval_connect.outbox = true the webhook becomes a row of the ECC queue, written beside the saved record, and
 * serval_connect_outbox_job.js sends it until it is acknowledged. With false it is signed and sent once, right away.
 */
(function executeRule(current, previous /* null on insert */) {
    var PREFIX = 'x_serval_connect.';
    // Serval gets these columns and no others. Further ones: the property "columns".
    var COLUMNS = [
        'number', 'short_description', 'description', 'state', 'priority', 'urgency', 'impact', 'category',
        'caller_id', 'opened_by', 'opened_at', 'assignment_group', 'assigned_to',
        'request', 'cat_item', 'requested_for', 'quantity', 'stage', 'approval',
        'correlation_id', 'correlation_display',
        'sys_mod_count', 'sys_created_on', 'sys_updated_on', 'sys_updated_by'
    ];

    try {
        announce();
    } catch (ex) {
        // A fault of ours must not keep anybody from saving a ticket.
        gs.error('serval-connect: ' + current.getUniqueValue() + ' was not announced: ' + (ex.message || ex));
    }

    function announce() {
        var operation = String(current.operation() || '');
        if (isEcho(operation)) return;

        var body = harmless(JSON.stringify({
            instance: instanceName(),
            table: String(current.getRecordClassName()),
            operation: operation,
            record: recordOf()
        }));
        // New for each save, and the same however often this save is sent: by it, repetitions are told from news.
        // The time in front keeps the ids in order, which makes them cheap to remember.
        var id = Number(new GlideDateTime().getNumericValue()).toString(36) + gs.generateGUID();
        if (property('outbox', 'true') === 'false') {
            send(id, body);
        } else {
            keep(id, body);
        }
    }

    // What Serval's own user wrote is no news to Serval, except that it may name the Serval ticket.
    function isEcho(operation) {
        var ownUser = property('integration_user');
        if (!ownUser || operation === 'delete' || valueOf('sys_updated_by') !== ownUser) return false;
        if (valueOf('correlation_id') === '') return true;
        return operation === 'update' && !current.correlation_id.changes();
    }

    function recordOf() {
        var record = {
            sys_id: String(current.getUniqueValue()),
            sys_class_name: String(current.getRecordClassName())
        };
        var names = COLUMNS.concat(property('columns').split(','));
        for (var i = 0; i < names.length; i++) {
            var name = names[i].replace(/\s/g, '');
            if (!name || record.hasOwnProperty(name) || !current.isValidField(name)) continue;
            record[name] = valueOf(name);
        }
        return record;
    }

    // ServiceNow answers with Java's strings, which are never === to those of JavaScript.
    function valueOf(name) {
        var value = current.getValue(name);
        return value === null || value === undefined ? '' : String(value);
    }

    // A clone of this instance has another name, by which serval-connect tells the two apart.
    function instanceName() {
        return String(gs.getProperty('instance_name', '') || '');
    }

    function keep(id, body) {
        var row = new GlideRecord('ecc_queue');
        row.initialize();
        row.setValue('agent', 'serval_connect');
        row.setValue('topic', 'webhook');
        row.setValue('name', id);
        row.setValue('source', String(current.getUniqueValue()));
        row.setValue('queue', 'output');
        row.setValue('state', 'ready');
        row.setValue('payload', body);
        if (!row.insert()) throw new Error('the ECC queue took no row');
    }

    function send(id, body) {
        var url = property('url');
        // Base64 as it stands behind whsec_; a copied prefix or line end does no harm.
        var key = property('signing_key').replace(/\s/g, '').replace(/^whsec_/, '');
        if (!url || !key) throw new Error('set the properties ' + PREFIX + 'url and ' + PREFIX + 'signing_key');

        var seconds = String(Math.floor(Number(new GlideDateTime().getNumericValue()) / 1000));
        var mac = new GlideCertificateEncryption().generateMac(key, 'HmacSHA256', id + '.' + seconds + '.' + body);
        var message = new sn_ws.RESTMessageV2();
        message.setEndpoint(url);
        message.setHttpMethod('post');
        message.setHttpTimeout(10000);
        message.setRequestHeader('Content-Type', 'application/json');
        message.setRequestHeader('Accept', 'application/json');
        message.setRequestHeader('webhook-id', id);
        message.setRequestHeader('webhook-timestamp', seconds);
        message.setRequestHeader('webhook-signature', 'v1,' + String(mac));
        message.setRequestBody(body);
        // The person who saves the ticket does not wait for the answer.
        message.executeAsync();
    }

    function property(name, otherwise) {
        return String(gs.getProperty(PREFIX + name, otherwise || '') || '').trim();
    }

    // RESTMessageV2 takes ${...} in a body for a variable and replaces it, after the signature was made: no dollar sign may
    // stand in it. Of plain ASCII the bytes that are signed are the bytes that are sent, whatever character set either step
    // takes. Both are escaped as JSON allows, so the text stays what it was.
    function harmless(json) {
        return json.replace(/[$\u007f-\uffff]/g, function (ch) {
            return '\\u' + ('000' + ch.charCodeAt(0).toString(16)).slice(-4);
        });
    }
})(current, previous);
