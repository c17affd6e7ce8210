import { expect, test } from 'vitest';
import { apiErrorOf } from './api-error.ts';

const of = (message: string) => apiErrorOf(500, 'apply x', JSON.stringify({ message })).message;

test('a refusal is one line without the API server’s Go', () => {
  expect(
    of(`failed to create typed patch object (a/x; /v1, Kind=ConfigMap): errors:
  .data.size: expected string, got &value.valueUnstructured{Value:5}
  .data.on:\texpected string, got &value.valueUnstructured{Value:map[string]interface {}{"a":{}}}
`),
  ).toBe(
    'apply x: failed to create typed patch object (a/x; /v1, Kind=ConfigMap): errors: .data.size: expected string, got 5 .data.on: expected string, got {"a":{}}',
  );
  expect(apiErrorOf(502, 'get x', '<html>\n  <p>bad gateway').message).toBe(
    'get x: HTTP 502 <html> <p>bad gateway',
  );
});
