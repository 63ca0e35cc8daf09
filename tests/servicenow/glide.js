// Runs the scripts of contrib/servicenow as an instance would, with stand-ins for the Glide classes.
//
// Reads a scenario from standard input and prints what happened:
//
//   { "now": 1773752744000,              the clock at the beginning, in milliseconds; if left out, the true time
//     "properties": { "x_serval_connect.url": "http://…" },
//     "denied": ["ecc_queue"],           tables that take no row
//     "steps": [ { "rule": FILE, "scoped": true, "operation": "insert", "changes": ["state"], "record": {…} },
//                { "job": FILE },
//                { "advance": 60 },      seconds that pass
//                { "answers": [503, "lost"] } ] }   what becomes of the next calls: an answer that is not the
//                                        daemon's, or a call that arrives and whose answer does not
//   -> { "requests": [{url, headers, body, status}], "queue": [rows of ecc_queue], "log": [[level, text]], "events": [[…]] }
//
// The stand-ins are strict: what a scope does not have is not there, no method of JavaScript after ES5 exists, and bodies
// leave as Latin-1 while signatures are made over UTF-8, so that only plain ASCII survives.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const vm = require('vm');
const { spawnSync } = require('child_process');

const SCRIPTS = path.join(__dirname, '..', '..', 'contrib', 'servicenow');

const POST = `
    const { url, headers, body } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
    const request = require('http').request(url, { method: 'POST', headers }, (response) => {
        response.resume();
        response.on('end', () => process.stdout.write(String(response.statusCode)));
    });
    request.on('error', () => process.stdout.write('0'));
    request.end(Buffer.from(body, 'latin1'));
`;

const scenario = JSON.parse(fs.readFileSync(0, 'utf8'));
const started = Date.now();
const offset = scenario.now === undefined ? 0 : scenario.now - started;
let advanced = 0;
let guids = 0;
let answers = [];
const happened = { requests: [], queue: [], log: [], events: [] };

const now = () => (scenario.frozen ? started : Date.now()) + offset + advanced;
const text = (ms) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
// Those of an instance that follow each other are alike but for their ends.
const middle = crypto.randomBytes(14).toString('hex');
const byte = (n) => (n % 256).toString(16).padStart(2, '0');

function guid() {
    guids += 1;
    return byte(guids * 7) + middle + byte(guids);
}


function post(request) {
    const fate = answers.shift();
    if (typeof fate === 'number') return fate;
    const input = JSON.stringify(request);
    const child = spawnSync(process.execPath, ['-e', POST], { input, encoding: 'utf8', timeout: 20000 });
    const status = Number(child.stdout || 0);
    return fate === 'lost' ? 0 : status;
}

class GlideDateTime {
    constructor(value) {
        this.ms = value === undefined ? now() : Date.parse(String(value).replace(' ', 'T') + 'Z');
        if (Number.isNaN(this.ms)) throw new Error('not a time: ' + value);
    }
    getNumericValue() { return this.ms; }
    getValue() { return text(this.ms); }
}

class Certificates {
    generateMac(key, algorithm, data) {
        if (algorithm !== 'HmacSHA256') throw new Error('unknown algorithm ' + algorithm);
        if (!/^[A-Za-z0-9+/]+={0,2}$/.test(key)) throw new Error('the key is no Base64');
        return crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(data, 'utf8').digest('base64');
    }
}

class RESTMessageV2 {
    constructor() { this.headers = {}; }
    setEndpoint(url) { this.url = url; }
    setHttpMethod(method) { this.method = method; }
    setHttpTimeout(ms) { this.timeout = ms; }
    setRequestHeader(name, value) {
        if (typeof value !== 'string') throw new Error(name + ' is no text');
        this.headers[name] = value;
    }
    setRequestBody(body) { this.body = body; }
    execute() {
        if (String(this.method).toLowerCase() !== 'post') throw new Error('method ' + this.method);
        const request = { url: this.url, headers: this.headers, body: this.body };
        const status = post(request);
        happened.requests.push({ ...request, status });
        return {
            getStatusCode: () => status,
            getErrorMessage: () => (status === 0 ? 'connection closed' : null),
        };
    }
    executeAsync() { this.execute(); }
}

// Of the database there is the ECC queue.
class GlideRecord {
    constructor(table) {
        if (table !== 'ecc_queue') throw new Error('no table ' + table);
        this.table = table;
        this.conditions = [];
    }
    initialize() { this.row = {}; }
    setValue(name, value) { this.row[name] = String(value); }
    getValue(name) { return this.row[name] === undefined ? null : this.row[name]; }
    getUniqueValue() { return this.row.sys_id; }
    insert() {
        if ((scenario.denied || []).includes(this.table)) return null;
        const at = text(now());
        const row = { ...this.row, sys_id: guid(), sys_created_on: at, sys_updated_on: at, sys_mod_count: '0' };
        happened.queue.push(row);
        return row.sys_id;
    }
    addQuery(name, value) { this.conditions.push([name, value]); }
    orderBy(name) { this.order = name; }
    query() {
        const fits = (row) => this.conditions.every(([name, value]) => row[name] === value);
        this.found = happened.queue.filter(fits);
        if (this.order) this.found.sort((a, b) => (a[this.order] < b[this.order] ? -1 : a[this.order] > b[this.order] ? 1 : 0));
    }
    next() {
        const stored = this.found.shift();
        this.row = stored && { ...stored };
        return stored !== undefined;
    }
    update() {
        const stored = happened.queue.find((row) => row.sys_id === this.row.sys_id);
        const isChanged = Object.keys(this.row).some((name) => this.row[name] !== stored[name]);
        // An instance writes nothing where nothing changed, and then the time of update stays, too.
        if (isChanged) {
            Object.assign(stored, this.row);
            stored.sys_updated_on = text(now());
            stored.sys_mod_count = String(Number(stored.sys_mod_count) + 1);
        }
        return this.row.sys_id;
    }
}

function saved(step) {
    const changes = step.changes || [];
    const has = (name) => Object.prototype.hasOwnProperty.call(step.record, name);
    const current = {
        operation: () => (step.operation === undefined ? null : step.operation),
        getRecordClassName: () => step.record.sys_class_name,
        getTableName: () => step.record.sys_class_name,
        getUniqueValue: () => step.record.sys_id,
        isValidField: has,
        getValue: (name) => (has(name) ? step.record[name] : null),
    };
    for (const name of Object.keys(step.record)) {
        current[name] = {
            changes() {
                if (step.scoped) throw new Error('an async rule does not know what changed');
                return changes.includes(name);
            },
        };
    }
    return current;
}

function run(file, scoped, current) {
    const certificates = scoped ? { CertificateEncryption: Certificates } : { GlideCertificateEncryption: Certificates };
    const log = (level) => (line) => { happened.log.push([level, String(line)]); };
    const gs = {
        getProperty: (name, otherwise) => {
            const value = (scenario.properties || {})[name];
            return value === undefined || value === '' ? (otherwise === undefined ? null : otherwise) : value;
        },
        generateGUID: guid,
        eventQueue: (...parts) => {
            if (scoped) throw new Error('not in this scope');
            happened.events.push([parts[0], parts[2], parts[3]]);
        },
        info: log('info'), warn: log('warn'), error: log('error'),
    };
    const context = vm.createContext({ gs, GlideDateTime, GlideRecord, sn_ws: { RESTMessageV2 }, ...certificates });
    vm.runInContext(`
        for (const name of ['Promise', 'Map', 'Set', 'WeakMap', 'WeakSet', 'Proxy', 'Reflect', 'Symbol', 'BigInt', 'globalThis']) {
            delete this[name];
        }
        (function () {
            const es5 = {
                Object: ['create', 'defineProperty', 'defineProperties', 'freeze', 'getOwnPropertyDescriptor',
                    'getOwnPropertyNames', 'getPrototypeOf', 'isExtensible', 'isFrozen', 'isSealed', 'keys',
                    'preventExtensions', 'seal'],
                Array: ['isArray'], String: ['fromCharCode'],
                Number: ['MAX_VALUE', 'MIN_VALUE', 'NaN', 'NEGATIVE_INFINITY', 'POSITIVE_INFINITY'],
            };
            const later = {
                String: ['startsWith', 'endsWith', 'includes', 'repeat', 'padStart', 'padEnd', 'trimStart', 'trimEnd', 'at',
                    'codePointAt', 'normalize', 'matchAll', 'replaceAll'],
                Array: ['find', 'findIndex', 'findLast', 'findLastIndex', 'includes', 'fill', 'flat', 'flatMap', 'copyWithin',
                    'entries', 'keys', 'values', 'at', 'toSorted', 'toReversed', 'with'],
            };
            const kinds = { Object, Array, String, Number };
            for (const kind of Object.keys(es5)) {
                for (const name of Object.getOwnPropertyNames(kinds[kind])) {
                    if (['length', 'name', 'prototype'].indexOf(name) < 0 && es5[kind].indexOf(name) < 0) delete kinds[kind][name];
                }
            }
            for (const kind of Object.keys(later)) {
                for (const name of later[kind]) delete kinds[kind].prototype[name];
            }
        })();
    `, context);
    if (current) {
        context.current = current;
        context.previous = null;
    }
    const script = fs.readFileSync(path.join(SCRIPTS, file), 'utf8');
    vm.runInContext(script, context, { filename: file });
}

for (const step of scenario.steps) {
    if (step.answers) answers = step.answers;
    if (step.advance) advanced += step.advance * 1000;
    if (step.rule) run(step.rule, Boolean(step.scoped), saved(step));
    if (step.job) run(step.job, false);
}
process.stdout.write(JSON.stringify(happened));
