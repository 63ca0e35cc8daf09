// Writes serval_connect_update_set.xml from the scripts beside it: node make_update_set.js > serval_connect_update_set.xml
// The scoped rule is not in it: records of a scoped application belong to that application's own update set.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const NAME = 'serval-connect webhooks';
// Times and ids depend on nothing but the names, so that the same scripts give the same file.
const AT = '2026-01-01 00:00:00';
const id = (name) => crypto.createHash('md5').update('serval-connect ' + name).digest('hex');

const script = (file) => fs.readFileSync(path.join(__dirname, file), 'utf8');
const escape = (text) => String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
const element = (name, value) => (value === '' ? `<${name}/>` : `<${name}>${escape(value)}</${name}>`);
const elements = (values) => Object.keys(values).map((name) => element(name, values[name])).join('');

const history = { sys_created_by: 'serval-connect', sys_created_on: AT, sys_mod_count: '0', sys_updated_by: 'serval-connect', sys_updated_on: AT };

function rule(table, label) {
    return {
        table: 'sys_script', type: 'Business Rule', target: `serval-connect: announce ${label}`,
        values: {
            name: `serval-connect: announce ${label}`, collection: table, when: 'after', order: '10000', active: 'true', advanced: 'true',
            action_insert: 'true', action_update: 'true', action_delete: 'false', action_query: 'false',
            condition: '', filter_condition: '', client_callable: 'false', abort_action: 'false', add_message: 'false',
            description: 'Tells serval-connect about each save. See docs/servicenow.md of serval-connect.',
            script: script('serval_connect_business_rule.js'),
        },
    };
}

function property(name, type, value, description) {
    const full = 'x_serval_connect.' + name;
    return {
        table: 'sys_properties', type: 'System Property', target: full,
        values: {
            name: full, type, value, description, choices: '', ignore_cache: 'false', is_private: 'false',
            read_roles: 'admin', write_roles: 'admin', suffix: name,
        },
    };
}

const RECORDS = [
    rule('incident', 'incidents'),
    rule('sc_req_item', 'requested items'),
    {
        table: 'sysauto_script', type: 'Scheduled Script Execution', target: 'serval-connect: send the outbox',
        values: {
            name: 'serval-connect: send the outbox', active: 'true', conditional: 'false', condition: '', run_as: '',
            run_type: 'periodically', run_period: '1970-01-01 00:00:30', run_start: AT,
            script: script('serval_connect_outbox_job.js'),
        },
    },
    {
        table: 'sysevent_register', type: 'Event Registration', target: 'serval_connect.gave_up',
        values: {
            event_name: 'serval_connect.gave_up', table: 'ecc_queue', fired_by: 'Scheduled job "serval-connect: send the outbox"',
            description: 'A webhook was given up. parm1: its webhook-id, parm2: why. Attach a notification to it.',
        },
    },
    property('url', 'string', '', 'Where the webhooks go, such as https://connect.example.com/webhooks/servicenow'),
    property('signing_key', 'password2', '', 'What follows whsec_ in the secret of the source'),
    property('integration_user', 'string', '', 'User name that Serval writes with; its own writes are not announced'),
    property('columns', 'string', '', 'Further columns to send, separated by commas'),
    property('outbox', 'string', 'true', 'true: through the outbox, until acknowledged; false: once, right away'),
];

function update(record) {
    const sysId = id(record.table + ' ' + record.target);
    const updateName = `${record.table}_${sysId}`;
    const own = {
        ...record.values, sys_class_name: record.table, ...history, sys_id: sysId,
        sys_name: record.target, sys_update_name: updateName,
    };
    const payload = `<?xml version="1.0" encoding="UTF-8"?><record_update table="${record.table}">` +
        `<${record.table} action="INSERT_OR_UPDATE">${elements(own)}` +
        '<sys_package display_value="Global" source="global">global</sys_package>' +
        '<sys_scope display_value="Global">global</sys_scope>' +
        `</${record.table}></record_update>`;
    return '<sys_update_xml action="INSERT_OR_UPDATE">\n' +
        '<action>INSERT_OR_UPDATE</action>\n' +
        '<application display_value="Global">global</application>\n' +
        '<category>customer</category>\n' +
        element('name', updateName) + '\n' +
        element('payload', payload) + '\n' +
        `<remote_update_set display_value="${NAME}">${id('remote update set')}</remote_update_set>\n` +
        '<replace_on_upgrade>false</replace_on_upgrade>\n' +
        elements({ ...history, sys_id: id('update of ' + updateName), table: record.table, target_name: record.target, type: record.type }) + '\n' +
        '<update_domain>global</update_domain>\n' +
        '<update_set display_value=""/>\n' +
        '<view/>\n' +
        '</sys_update_xml>\n';
}

process.stdout.write('<?xml version="1.0" encoding="UTF-8"?>\n' +
    `<unload unload_date="${AT}">\n` +
    '<sys_remote_update_set action="INSERT_OR_UPDATE">\n' +
    '<application display_value="Global">global</application>\n' +
    '<application_name>Global</application_name>\n' +
    '<application_scope>global</application_scope>\n' +
    elements({
        application_version: '', collisions: '', commit_date: '', deleted: '',
        description: 'Announces incidents and requested items to serval-connect: two business rules, a job, an event, five properties.',
        inserted: '', name: NAME, origin_sys_id: '',
    }) + '\n<parent display_value=""/>\n<remote_base_update_set display_value=""/>\n' +
    elements({
        release_date: '', remote_parent_id: '', remote_sys_id: id('update set'), state: 'loaded', summary: '',
        sys_class_name: 'sys_remote_update_set', ...history, sys_id: id('remote update set'),
    }) + '\n<update_set display_value=""/>\n<update_source display_value=""/>\n<updated/>\n' +
    '</sys_remote_update_set>\n' +
    RECORDS.map(update).join('') +
    '</unload>\n');
