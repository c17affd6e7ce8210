import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { frameSchema, syncQuerySchema } from './feed.ts';
import { reportReplySchema, reportSchema } from './feedback.ts';
import { joinReplySchema, joinRequestSchema } from './link.ts';

/** What a control plane and an operator said to each other, in order, as it was on the wire. Never recorded anew. */
const conversation = readFileSync(new URL('../recorded/proto-1.ndjson', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line): { from: string; what: string; body: Record<string, unknown> } => JSON.parse(line));

const SCHEMAS: Record<string, z.ZodType> = {
  join: joinRequestSchema,
  joinReply: joinReplySchema,
  query: syncQuerySchema,
  frame: frameSchema,
  report: reportSchema,
  reportReply: reportReplySchema,
};

// Invariant L33.
describe('a conversation that was recorded with version 1', () => {
  test.each(conversation.map((line, index) => [index + 1, line.from, line.what, line] as const))(
    'is read as it was then: line %i, %s, %s',
    (_line, _from, what, { body }) => {
      const read = SCHEMAS[what]!.parse(body) as Record<string, unknown>;
      // A query is text on the wire.
      if (what === 'query')
        for (const [name, value] of Object.entries(body)) expect(String(read[name])).toBe(value);
      else expect(read).toMatchObject(body);
    },
  );
});
