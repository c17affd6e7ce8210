import { canonicalJson, type DataPlaneSpec, FEED_KINDS } from '@felucca/contract';
import { z } from 'zod';
import { asFeed, withPlatform } from '../../db/tenant.ts';
import type { Caller } from '../../http/api-keys.ts';
import { audit } from '../audit.ts';
import { lockDataPlaneSpec } from '../data-planes/held-queries.ts';
import { publishSettings } from '../data-planes/publish-settings.ts';
import { nextGeneration } from '../generation.ts';
import { platformCaller } from '../platform-caller.ts';
import type { Api, Services } from '../services.ts';
import { problems } from '../shapes.ts';
import { countByKey, type KnowingRow, listKnowing } from './queries.ts';
import { resign } from './resign.ts';

const MAX_REFUSED = 100;

const keysSchema = z.object({
  keys: z.array(
    z.object({
      kid: z.string(),
      publicKey: z
        .string()
        .optional()
        .describe('Absent: rows name this key, and this control plane does not have it'),
      signs: z.boolean(),
      rows: z.number().int().describe('Rows of desired state that it signed, tombstones included'),
    }),
  ),
  dataPlanes: z.array(
    z.object({
      name: z.string(),
      announced: z
        .array(z.string())
        .describe(
          'The keys that its own signed row names; none before the first announcement: until then its operator trusts ' +
            'what it was given when it joined',
        ),
      trusts: z
        .boolean()
        .describe(
          'Known to trust the present keys and no others: its operator has applied that row. False before the first ' +
            'announcement, which is needed only to change keys',
        ),
    }),
  ),
});
const refusedSchema = z.object({
  kind: z.enum(FEED_KINDS),
  key: z.string(),
  id: z.string(),
  dataPlane: z.string(),
  kid: z.string(),
});

/**
 * How the key that signs desired rows is changed while operators go on: they trust what a row that they trust names. The
 * steps are in docs/runbooks/signing-keys.md.
 */
export function signingKeyRoutes(api: Api, services: Services): void {
  const { db, signer, wake } = services;

  api.get(
    '/v1/signing-keys',
    {
      schema: {
        tags: ['signing-keys'],
        summary: 'The keys that sign desired rows, and which data planes trust them',
        response: { 200: keysSchema, ...problems },
      },
    },
    async (request) => {
      await platformCaller(services, request);
      const [counts, knowing] = await asFeed(db, async (tx) => [await countByKey(tx), await listKnowing(tx)]);
      const ours = signer.publicKeys();
      const kids = [...new Set([...Object.keys(ours), ...counts.keys()])];
      return {
        keys: kids.map((kid) => ({
          kid,
          ...(ours[kid] === undefined ? {} : { publicKey: ours[kid] }),
          signs: kid === signer.kid,
          rows: counts.get(kid) ?? 0,
        })),
        dataPlanes: knowing.map((row) => ({
          name: row.name,
          announced: (row.spec.signingKeys ?? []).map(({ kid }) => kid),
          trusts: isTrusting(row, ours),
        })),
      };
    },
  );

  api.post(
    '/v1/signing-keys/announce',
    {
      schema: {
        tags: ['signing-keys'],
        summary:
          'Name the present keys in the signed row of every data plane; operators trust these and no others',
        response: { 202: z.object({ announced: z.array(z.string()) }), ...problems },
      },
    },
    async (request, reply) => {
      const caller = await platformCaller(services, request);
      const announced: KnowingRow[] = [];
      for (const dataPlane of await asFeed(db, listKnowing))
        if (await announce(services, caller, dataPlane)) announced.push(dataPlane);
      wake.committed(announced.map(({ id }) => id));
      return reply.code(202).send({ announced: announced.map(({ name }) => name) });
    },
  );

  api.post(
    '/v1/signing-keys/resign',
    {
      schema: {
        tags: ['signing-keys'],
        summary: 'Sign with the present key what another one signed, on every data plane that trusts it',
        description: 'In parts: asked again, it goes on with the rest.',
        response: {
          200: z.object({
            resigned: z.number().int(),
            refused: z
              .array(refusedSchema)
              .describe('Rows that no key of ours signed as they stand; somebody else wrote them'),
            waiting: z.array(z.string()).describe('Data planes that do not trust the present keys yet'),
            isComplete: z.boolean().describe('On the others nothing is left'),
          }),
          ...problems,
        },
      },
    },
    async (request) => {
      const caller = await platformCaller(services, request);
      const knowing = await asFeed(db, listKnowing);
      const trusting = knowing.filter((row) => isTrusting(row, signer.publicKeys()));
      const { resigned, refused, isComplete } = await resign(
        services,
        trusting.map(({ id }) => id),
      );
      if (resigned > 0)
        await withPlatform(db, (tx) =>
          audit(tx, services.newId(), caller, 'signing-key.resign', `signing-key/${signer.kid}`, {
            resigned,
          }),
        );
      wake.committed(trusting.map(({ id }) => id));
      const nameOf = (dataPlaneId: string): string =>
        knowing.find(({ id }) => id === dataPlaneId)?.name ?? dataPlaneId;
      return {
        resigned,
        refused: refused.slice(0, MAX_REFUSED).map(({ kind, key, id, kid, dataPlaneId }) => ({
          kind,
          key,
          id,
          dataPlane: nameOf(dataPlaneId),
          kid,
        })),
        waiting: knowing.filter((row) => !trusting.includes(row)).map(({ name }) => name),
        isComplete,
      };
    },
  );
}

type SigningKeys = NonNullable<DataPlaneSpec['signingKeys']>;

const keysOf = (publicKeys: Record<string, string>): SigningKeys =>
  Object.entries(publicKeys).map(([kid, publicKey]) => ({ kid, publicKey }));

/** The order says which one signs, and that does not concern an operator. */
const isSame = (announced: SigningKeys | undefined, wanted: SigningKeys): boolean => {
  const sorted = (keys: SigningKeys) => canonicalJson(keys.toSorted((a, b) => (a.kid < b.kid ? -1 : 1)));
  return announced !== undefined && sorted(announced) === sorted(wanted);
};

/** A row that names the keys and is signed with a strange one is refused: it has told nobody. */
const isAnnounced = (
  { spec, signedBy }: Pick<KnowingRow, 'spec' | 'signedBy'>,
  publicKeys: Record<string, string>,
) => signedBy !== null && Object.hasOwn(publicKeys, signedBy) && isSame(spec.signingKeys, keysOf(publicKeys));

const isTrusting = (row: KnowingRow, publicKeys: Record<string, string>): boolean =>
  row.isApplied && isAnnounced(row, publicKeys);

/** @returns whether there was something to say */
function announce({ db, signer, newId }: Services, caller: Caller, dataPlane: KnowingRow): Promise<boolean> {
  const publicKeys = signer.publicKeys();
  const signingKeys = keysOf(publicKeys);
  return withPlatform(db, async (tx) => {
    const before = await lockDataPlaneSpec(tx, dataPlane.id);
    if (!before || isAnnounced({ ...dataPlane, spec: before.spec }, publicKeys)) return false;
    await audit(tx, newId(), caller, 'signing-key.announce', `data-plane/${dataPlane.name}`, {
      keys: signingKeys.map(({ kid }) => kid),
    });
    const spec = { ...before.spec, signingKeys };
    await publishSettings(tx, signer, dataPlane.id, spec, nextGeneration(before));
    return true;
  });
}
