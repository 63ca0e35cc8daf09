// Plays a scenario of glide.js in Node, which is made to know no method of JavaScript after ES5.
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

const ES5_ONLY = `
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
`;

const host = {
    text: (string) => new String(string),
    hex: (bytes) => crypto.randomBytes(bytes).toString('hex'),
    hmac: (key, data) => crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(data, 'utf8').digest('base64'),
    post: (url, headers, body) => {
        const input = JSON.stringify({ url, headers, body });
        const child = spawnSync(process.execPath, ['-e', POST], { input, encoding: 'utf8', timeout: 20000 });
        return Number(child.stdout || 0);
    },
    run: (file, globals) => {
        const context = vm.createContext(globals);
        vm.runInContext(ES5_ONLY, context);
        vm.runInContext(fs.readFileSync(path.join(SCRIPTS, file), 'utf8'), context, { filename: file });
    },
};

const glide = fs.readFileSync(path.join(__dirname, 'glide.js'), 'utf8');
const play = vm.runInThisContext(`${glide}\nplayScenario`, { filename: 'glide.js' });
process.stdout.write(JSON.stringify(play(JSON.parse(fs.readFileSync(0, 'utf8')), host)));
