import { ANNOTATIONS, API_VERSION, FEED_KINDS, type FeedKind, type StatusItem } from '@felucca/contract';
import { describe, expect, it } from 'vitest';
import type { LiveObject } from '../sync/cluster.ts';
import type { Watches } from '../sync/watches.ts';
import { Observer } from './observer.ts';

type Listener = Parameters<Watches['Instance']['listen']>[0];

/** Caches that hold nothing and tell what a test says. */
function stage(options: { incoming: boolean }) {
  let listener: Listener | undefined;
  const none = { all: () => [].values(), get: () => undefined };
  const watch = (kind: FeedKind) => ({
    ...none,
    listen: (given: Listener) => {
      if (kind === 'Instance') listener = given;
      return () => {};
    },
  });
  const watches = Object.fromEntries(FEED_KINDS.map((kind) => [kind, watch(kind)])) as unknown as Watches;
  const said: Omit<StatusItem, 'observedSeq'>[] = [];
  const observer = new Observer(
    watches,
    (_, object) => options.incoming && !object.status?.desired,
    { status: (item) => said.push(item), drift: () => {} },
    { told: () => undefined, look: () => {}, forget: () => {} },
  );
  observer.start();
  return { said, options, listener: listener! };
}

const metadata = {
  name: 'db',
  namespace: 'tenant-acme',
  uid: 'uid-1',
  generation: 1,
  annotations: { [ANNOTATIONS.id]: 'i1' },
};
const spec = { blueprintRef: { name: 'web', version: '1.0.0' } };
const bare: LiveObject = { apiVersion: API_VERSION, kind: 'Instance', metadata, spec };
const desired = { id: 'i1', generation: 1, digest: 'd', kid: 'k', signature: 's', rev: '1' };
const stamped: LiveObject = { ...bare, status: { desired } };
const summary = (said: Omit<StatusItem, 'observedSeq'>[]) =>
  said.map(({ id, local, deleted }) => ({ id, local, deleted: deleted ?? false }));

describe('what is observed', () => {
  it('says nothing of an object between its two first writes', () => {
    const { said, options, listener } = stage({ incoming: true });
    listener.upserted(bare, undefined);
    options.incoming = false;
    listener.upserted(stamped, bare);
    expect(summary(said)).toEqual([{ id: 'i1', local: false, deleted: false }]);
  });

  it('takes back that an object was local when its stamp arrives', () => {
    const { said, options, listener } = stage({ incoming: false });
    listener.upserted(bare, undefined);
    options.incoming = true;
    listener.upserted(stamped, bare);
    listener.upserted(stamped, stamped);
    expect(summary(said)).toEqual([
      { id: 'uid-1', local: true, deleted: false },
      { id: 'i1', local: false, deleted: false },
      { id: 'uid-1', local: true, deleted: true },
      { id: 'i1', local: false, deleted: false },
    ]);
  });
});
