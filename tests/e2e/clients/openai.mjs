// The openai package against a gateway: one chat without and one with a stream; prints the results as JSON.
import OpenAI from 'openai';

const [base, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: base, apiKey: 'any-key-will-do', maxRetries: 0 });
const messages = [{ role: 'user', content: 'Wie geht\u2019s?' }];

try {
    const whole = await client.chat.completions.create({ model, messages });
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    const deltas = [];
    for await (const chunk of stream)
        deltas.push(chunk.choices[0].delta.content);
    console.log(JSON.stringify({ content: whole.choices[0].message.content, usage: whole.usage, deltas }));
} catch (error) {
    console.log(JSON.stringify({ error: error.name, status: error.status, message: error.message }));
}
