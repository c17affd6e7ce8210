import { expect, test } from 'vitest';
import { answer, parseQuestion, typeA } from './dns-message.ts';

function question(name: string): Buffer {
  const header = Buffer.from([0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  return Buffer.concat([header, Buffer.from([...labels, 0, 0, typeA, 0, 1])]);
}

test('a question is read in lower case and answered with its own id and addresses', () => {
  const parsed = parseQuestion(question('Web.Default.svc.cluster.local'));
  expect(parsed).toMatchObject({ id: 0x1234, name: 'web.default.svc.cluster.local', type: typeA });
  const reply = answer(parsed!, 0, ['10.1.2.3']);
  expect(reply.readUInt16BE(0)).toBe(0x1234);
  expect(reply.readUInt16BE(2) & 0x8000).toBe(0x8000);
  expect(reply.readUInt16BE(6)).toBe(1);
  expect([...reply.subarray(-4)]).toEqual([10, 1, 2, 3]);
});

test('a truncated or endless name is no question', () => {
  const whole = question('web.default');
  for (let length = 0; length < whole.length; length += 1) {
    expect(parseQuestion(whole.subarray(0, length))).toBeUndefined();
  }
  expect(
    parseQuestion(Buffer.concat([whole.subarray(0, 12), Buffer.from([0xc0, 0x0c, 0, 1, 0, 1])])),
  ).toBeUndefined();
});
