// Plays a scenario of glide.js in Rhino, the engine of ServiceNow. Run it in the folder of the repository.
'use strict';

load('tests/servicenow/glide.js');

var UTF_8 = 'UTF-8';

function readAll(stream) {
    var scanner = new java.util.Scanner(stream, UTF_8).useDelimiter('\\A');
    return String(scanner.hasNext() ? scanner.next() : '');
}

var host = {
    text: function (string) { return new java.lang.String(string); },
    hex: function (bytes) {
        var digits = '';
        while (digits.length < 2 * bytes) digits += String(java.util.UUID.randomUUID()).replace(/-/g, '');
        return digits.slice(0, 2 * bytes);
    },
    hmac: function (key, data) {
        var mac = javax.crypto.Mac.getInstance('HmacSHA256');
        mac.init(new javax.crypto.spec.SecretKeySpec(java.util.Base64.getDecoder().decode(key), 'HmacSHA256'));
        return String(java.util.Base64.getEncoder().encodeToString(mac.doFinal(new java.lang.String(data).getBytes(UTF_8))));
    },
    post: function (url, headers, body) {
        try {
            var connection = new java.net.URL(url).openConnection();
            connection.setRequestMethod('POST');
            connection.setReadTimeout(20000);
            connection.setDoOutput(true);
            Object.keys(headers).forEach(function (name) { connection.setRequestProperty(name, headers[name]); });
            connection.getOutputStream().write(new java.lang.String(body).getBytes('ISO-8859-1'));
            return Number(connection.getResponseCode());
        } catch (ex) {
            return 0;
        }
    },
    run: function (file, globals) {
        var context = org.mozilla.javascript.Context.getCurrentContext();
        var scope = context.initSafeStandardObjects();
        Object.keys(globals).forEach(function (name) {
            org.mozilla.javascript.ScriptableObject.putProperty(scope, name, globals[name]);
        });
        var script = readAll(new java.io.FileInputStream('contrib/servicenow/' + file));
        context.evaluateString(scope, script, file, 1, null);
    }
};

print(JSON.stringify(playScenario(JSON.parse(readAll(java.lang.System['in'])), host)));
