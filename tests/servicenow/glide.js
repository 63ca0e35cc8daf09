// Stand-ins for the Glide classes, and what plays a scenario with them. Runs in Node (node.js) and in Rhino (rhino.js), the
// engine of ServiceNow, and so is ES5. Those two files read the scenario from standard input and print what happened:
//
//   { "now": 1773752744000,              the clock at the beginning, in milliseconds; if left out, the true time
//     "properties": { "x_serval_connect.url": "http://…" },
//     "denied": ["ecc_queue"],           tables that take no row
//     "steps": [ { "rule": FILE, "scoped": true, "operation": "insert", "changes": ["state"], "record": {…} },
//                { "job": FILE },
//                { "queued": {…} },      a row of ecc_queue that is there already
//                { "advance": 60 },      seconds that pass
//                { "answers": [503, "lost"] } ] }   what becomes of the next calls: an answer that is not the
//                                        daemon's, or a call that arrives and whose answer does not
//   -> { "requests": [{url, headers, body, status}], "queue": [rows of ecc_queue], "log": [[level, text]], "events": [[…]] }
//
// The stand-ins are strict: what a scope does not have is not there, texts are objects of Java (or what is as unequal to a
// text of JavaScript), variables in bodies are replaced, and bodies leave as Latin-1 while signatures are made over UTF-8,
// so that only plain ASCII survives.
//
// `host` has what the engines do in their own ways: text(string) makes a text as the instance gives it, hex(bytes) random
// digits, hmac(key, data) Base64, post(url, headers, body) a status or 0, and run(file, globals) runs a script with no other globals.
'use strict';

function playScenario(scenario, host) {
    var started = Date.now();
    var offset = scenario.now === undefined ? 0 : scenario.now - started;
    var advanced = 0;
    var guids = 0;
    var answers = [];
    var happened = { requests: [], queue: [], log: [], events: [] };
    // Ids of an instance that follow each other are alike but for their ends.
    var middle = host.hex(14);

    function now() {
        return (scenario.frozen ? started : Date.now()) + offset + advanced;
    }

    function timeText(ms) {
        return new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
    }

    function byteText(n) {
        return ('0' + (n % 256).toString(16)).slice(-2);
    }

    function guid() {
        guids += 1;
        return byteText(guids * 7) + middle + byteText(guids);
    }

    function has(object, name) {
        return Object.prototype.hasOwnProperty.call(object, name);
    }

    function copy(object) {
        return JSON.parse(JSON.stringify(object));
    }

    function textOrNull(value) {
        return value === undefined || value === null ? null : host.text(String(value));
    }

    function post(request) {
        var fate = answers.shift();
        if (typeof fate === 'number') return fate;
        var status = host.post(request.url, request.headers, request.body);
        return fate === 'lost' ? 0 : status;
    }

    function GlideDateTime(value) {
        this.ms = value === undefined ? now() : Date.parse(String(value).replace(' ', 'T') + 'Z');
        if (isNaN(this.ms)) throw new Error('not a time: ' + value);
    }
    GlideDateTime.prototype = {
        getNumericValue: function () { return this.ms; },
        getValue: function () { return host.text(timeText(this.ms)); }
    };

    function Certificates() {}
    Certificates.prototype.generateMac = function (key, algorithm, data) {
        if (algorithm !== 'HmacSHA256') throw new Error('unknown algorithm ' + algorithm);
        if (!/^[A-Za-z0-9+\/]+={0,2}$/.test(key)) throw new Error('the key is no Base64');
        return host.text(host.hmac(key, data));
    };

    function RESTMessageV2() {
        this.headers = {};
    }
    RESTMessageV2.prototype = {
        setEndpoint: function (url) { this.url = url; },
        setHttpMethod: function (method) { this.method = method; },
        setHttpTimeout: function (ms) { this.timeout = ms; },
        setRequestHeader: function (name, value) {
            if (typeof value !== 'string') throw new Error(name + ' is no text');
            this.headers[name] = value;
        },
        // Variables are replaced also where nobody set any: "forced variable substitution".
        setRequestBody: function (body) {
            if (typeof body !== 'string') throw new Error('the body is no text');
            this.body = body.replace(/\$\{[^}]*\}/g, '');
        },
        execute: function () {
            if (String(this.method).toLowerCase() !== 'post') throw new Error('method ' + this.method);
            var request = { url: this.url, headers: this.headers, body: this.body };
            var status = post(request);
            request.status = status;
            happened.requests.push(request);
            return {
                getStatusCode: function () { return status; },
                getErrorMessage: function () { return status === 0 ? host.text('connection closed') : null; }
            };
        },
        executeAsync: function () { this.execute(); }
    };

    // Of the database there is the ECC queue.
    function GlideRecord(table) {
        if (table !== 'ecc_queue') throw new Error('no table ' + table);
        this.table = table;
        this.conditions = [];
    }
    GlideRecord.prototype = {
        initialize: function () { this.row = {}; },
        setValue: function (name, value) { this.row[name] = String(value); },
        getValue: function (name) { return textOrNull(this.row[name]); },
        getUniqueValue: function () { return host.text(this.row.sys_id); },
        insert: function () {
            if ((scenario.denied || []).indexOf(this.table) >= 0) return null;
            var row = copy(this.row);
            row.sys_id = guid();
            row.sys_created_on = row.sys_updated_on = timeText(now());
            row.sys_mod_count = '0';
            happened.queue.push(row);
            return host.text(row.sys_id);
        },
        addQuery: function (name, value) { this.conditions.push([name, value]); },
        orderBy: function (name) { this.order = name; },
        query: function () {
            var order = this.order;
            var conditions = this.conditions;
            this.found = happened.queue.filter(function (row) {
                return conditions.every(function (condition) { return row[condition[0]] === condition[1]; });
            });
            if (order) {
                this.found.sort(function (a, b) { return a[order] < b[order] ? -1 : a[order] > b[order] ? 1 : 0; });
            }
        },
        next: function () {
            var stored = this.found.shift();
            this.row = stored && copy(stored);
            return stored !== undefined;
        },
        update: function () {
            var row = this.row;
            var stored = happened.queue.filter(function (other) { return other.sys_id === row.sys_id; })[0];
            var changed = Object.keys(row).filter(function (name) { return row[name] !== stored[name]; });
            // An instance writes nothing where nothing changed, and then the time of update stays, too.
            if (changed.length > 0) {
                changed.forEach(function (name) { stored[name] = row[name]; });
                stored.sys_updated_on = timeText(now());
                stored.sys_mod_count = String(Number(stored.sys_mod_count) + 1);
            }
            return host.text(row.sys_id);
        }
    };

    function saved(step) {
        var current = {
            operation: function () { return textOrNull(step.operation); },
            getRecordClassName: function () { return host.text(step.record.sys_class_name); },
            getTableName: function () { return host.text(step.record.sys_class_name); },
            getUniqueValue: function () { return host.text(step.record.sys_id); },
            isValidField: function (name) { return has(step.record, name); },
            getValue: function (name) { return has(step.record, name) ? textOrNull(step.record[name]) : null; }
        };
        Object.keys(step.record).forEach(function (name) {
            current[name] = {
                changes: function () {
                    if (step.scoped) throw new Error('an async rule does not know what changed');
                    return (step.changes || []).indexOf(name) >= 0;
                }
            };
        });
        return current;
    }

    function run(file, scoped, current) {
        function log(level) {
            return function (line) { happened.log.push([level, String(line)]); };
        }
        var globals = {
            gs: {
                getProperty: function (name, otherwise) {
                    var value = (scenario.properties || {})[name];
                    return textOrNull(value === undefined || value === '' ? otherwise : value);
                },
                generateGUID: function () { return host.text(guid()); },
                eventQueue: function (name, record, first, second) {
                    if (scoped) throw new Error('not in this scope');
                    happened.events.push([String(name), String(first), String(second)]);
                },
                info: log('info'), warn: log('warn'), error: log('error')
            },
            GlideDateTime: GlideDateTime, GlideRecord: GlideRecord, sn_ws: { RESTMessageV2: RESTMessageV2 }
        };
        globals[scoped ? 'CertificateEncryption' : 'GlideCertificateEncryption'] = Certificates;
        if (current) {
            globals.current = current;
            globals.previous = null;
        }
        host.run(file, globals);
    }

    scenario.steps.forEach(function (step) {
        if (step.answers) answers = step.answers.slice();
        if (step.advance) advanced += step.advance * 1000;
        if (step.queued) {
            var row = new GlideRecord('ecc_queue');
            row.row = step.queued;
            row.insert();
        }
        if (step.rule) run(step.rule, Boolean(step.scoped), saved(step));
        if (step.job) run(step.job, false);
    });
    return happened;
}
