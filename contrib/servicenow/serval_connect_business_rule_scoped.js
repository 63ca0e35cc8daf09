/*
 * Tells serval-connect about saved incidents and requested items, from a scoped application.
 *
 * A business rule of the application: when "async", insert and update, advanced; one on incident and the same on
 * sc_req_item. Rules on tables of another scope have to be asynchronous, so this one runs a moment after the save, sees the
 * record as it is then, and cannot tell which columns changed.
 *
 * It signs and sends at once. What is not acknowledged becomes a row of the ECC queue, which serval_connect_outbox_job.js (a
 * job of the global scope) sends again. The application needs a cross-scope privilege to create rows of ecc_queue.
 */
(function executeRule(current, previous /* never there in an async rule */) {
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
        gs.error('serval-connect: ' + current.getUniqueValue() + ' was not announced: ' + (ex.message || ex));
    }

    function announce() {
        if (isEcho()) return;

        var body = harmless(JSON.stringify({
            instance: instanceName(),
            table: String(current.getRecordClassName()),
            operation: operationOf(),
            record: recordOf()
        }));
        // New for each save, and the same however often this save is sent: by it, repetitions are told from news.
        // The time in front keeps the ids in order, which makes them cheap to remember.
        var id = Number(new GlideDateTime().getNumericValue()).toString(36) + gs.generateGUID();
        var answer = send(id, body);
        if (answer.status === 202) return;
        if (answer.status === 400 || answer.status === 413 || answer.status === 422) {
            throw new Error('refused for good: ' + answer.text);
        }
        gs.warn('serval-connect: ' + current.getUniqueValue() + ' goes to the outbox: ' + answer.text);
        keep(id, body);
    }

    // What Serval's own user wrote is no news to Serval, except that it may name the Serval ticket.
    function isEcho() {
        var ownUser = property('integration_user');
        return ownUser !== '' && valueOf('sys_updated_by') === ownUser && valueOf('correlation_id') === '';
    }

    // What operation() answers in an async rule is documented nowhere.
    function operationOf() {
        var operation = String(current.operation() || '');
        if (operation) return operation;
        return valueOf('sys_mod_count') === '0' ? 'insert' : 'update';
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

    function send(id, body) {
        var url = property('url');
        // Base64 as it stands behind whsec_; a copied prefix or line end does no harm.
        var key = property('signing_key').replace(/\s/g, '').replace(/^whsec_/, '');
        if (!url || !key) return { status: 0, text: PREFIX + 'url or ' + PREFIX + 'signing_key is not set' };

        try {
            var seconds = String(Math.floor(Number(new GlideDateTime().getNumericValue()) / 1000));
            var mac = new CertificateEncryption().generateMac(key, 'HmacSHA256', id + '.' + seconds + '.' + body);
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
            var response = message.execute();
            var status = Number(response.getStatusCode());
            return { status: status, text: 'answer ' + status + ' ' + String(response.getErrorMessage() || '') };
        } catch (ex) {
            return { status: 0, text: 'no answer: ' + (ex.message || ex) };
        }
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

    function property(name) {
        return String(gs.getProperty(PREFIX + name, '') || '').trim();
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
