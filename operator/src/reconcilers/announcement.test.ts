import type { Condition } from '@felucca/contract';
import { expect, test } from 'vitest';
import { announcement } from './announcement.ts';

const of = (text: string): Condition[] =>
  text.split(' ').flatMap((one) => {
    const [type = '', status, reason = ''] = one.split('/');
    if (!type) return [];
    return { type, status: status as 'True', reason, message: `message of ${one}`, lastTransitionTime: '' };
  });

test.each([
  ['a first status that says Ready', '', 'Ready/True/AllChildrenReady', undefined],
  ['a first status that says Stalled', '', 'Ready/False/NameConflict', 'Warning NameConflict'],
  [
    'progress',
    'Ready/True/AllChildrenReady',
    'Ready/False/ChildrenProgressing Reconciling/True/ChildrenProgressing',
    undefined,
  ],
  [
    'the end of progress',
    'Ready/False/ChildrenProgressing Reconciling/True/ChildrenProgressing',
    'Ready/True/AllChildrenReady',
    'Normal AllChildrenReady',
  ],
  ['another text under the same reason', 'Ready/False/NameConflict', 'Ready/False/NameConflict', undefined],
  ['another reason', 'Ready/False/NameConflict', 'Ready/False/ApplyRejected', 'Warning ApplyRejected'],
  ['a pause', 'Ready/True/AllChildrenReady', 'Ready/False/Suspended', 'Normal Suspended'],
  [
    'a failure beside what is still ready',
    'Ready/True/AllChildrenReady',
    'Ready/True/AllChildrenReady Reconciling/True/ApiError',
    'Warning ApiError',
  ],
  [
    'its end',
    'Ready/True/AllChildrenReady Reconciling/True/ApiError',
    'Ready/True/AllChildrenReady',
    'Normal AllChildrenReady',
  ],
  [
    'what blocks a deletion',
    'Ready/False/Deleting Reconciling/True/Deleting',
    'Ready/False/Deleting Reconciling/True/Deleting DeletionBlocked/True/ChildStillExists',
    'Warning ChildStillExists',
  ],
  [
    'what no longer blocks it',
    'Ready/False/Deleting Reconciling/True/Deleting DeletionBlocked/True/ChildStillExists',
    'Ready/False/Deleting Reconciling/True/Deleting',
    undefined,
  ],
])('%s', (_, before, after, event) => {
  const told = announcement(of(before), of(after));
  expect(told && `${told.type} ${told.reason}`).toBe(event);
  expect(announcement(of(after), of(after))).toBeUndefined();
});
