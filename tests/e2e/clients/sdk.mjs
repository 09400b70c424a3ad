// The AWS SDK for JavaScript against a gateway: reads calls from stdin (a JSON list of {command, input}, a Body given
// in base64), makes them in sequence and prints a JSON list of the results.
import * as sagemaker from '@aws-sdk/client-sagemaker-runtime';
import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';

const client = new sagemaker.SageMakerRuntimeClient({
    region: 'eu-central-1',
    endpoint: process.argv[2],
    credentials: { accessKeyId: 'AKIDUNUSABLE', secretAccessKey: 'none', sessionToken: 'none' },
    maxAttempts: 1,
});

async function call({ command, input }) {
    if (input.Body !== undefined)
        input.Body = Buffer.from(input.Body, 'base64');
    try {
        const { $metadata, Body, ...fields } = await client.send(new sagemaker[command](input));
        return { status: $metadata.httpStatusCode, requestId: $metadata.requestId, ...fields, ...(await read(Body)) };
    } catch (error) {
        const { name, message, OriginalStatusCode } = error;
        return { error: name, message, OriginalStatusCode, status: error.$metadata?.httpStatusCode };
    }
}

async function read(body) {
    if (body === undefined)
        return {};
    body ??= new Uint8Array(0); // an empty response
    if (body instanceof Uint8Array)
        return { length: body.length, sha256: createHash('sha256').update(body).digest('hex'),
                 start: Buffer.from(body.subarray(0, 4096)).toString('latin1') };
    const parts = [];
    for await (const event of body)
        parts.push(Buffer.from(event.PayloadPart.Bytes).toString('latin1'));
    return { parts };
}

const results = [];
for (const one of JSON.parse(await text(process.stdin)))
    results.push(await call(one));
console.log(JSON.stringify(results));
client.destroy();
