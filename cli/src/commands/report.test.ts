import { expect, test } from 'vitest';
import { reportName } from './report.ts';

test('two reports within a second have two names', () => {
  expect(reportName(new Date('2026-01-01T00:00:00.001Z'))).toBe('felucca-report-20260101T000000001Z');
});
