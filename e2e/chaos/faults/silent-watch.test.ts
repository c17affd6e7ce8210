import { expect, test } from 'vitest';
import { FAST_CLOCK } from '../rig.ts';
import { deploymentOf, LONG_MS, useStage } from './stage.ts';

// The operator believes in a silent watch for minutes, so its clock runs twenty times as fast here.
const stage = useStage('silent', {
  operator: { nodeArgs: ['--import', FAST_CLOCK], env: { CLOCK_SPEED: '20', LEASE_DURATION_MS: '300000' } },
});

test(
  'K12: a watch that stays open and says nothing any more is given up, and what it hid is found',
  async () => {
    const customer = await stage.customer();
    const { proxy } = stage.rig;
    const silenced = new Set(proxy.watches.map(({ request }) => request.id));
    const never = new Promise<undefined>(() => undefined);
    proxy.add({ frame: (_, { request }) => (silenced.has(request.id) ? never : undefined) });
    await customer.change({ parameters: { replicas: 3 } });
    await stage.until(
      'the change is there',
      () => customer.live(deploymentOf(customer))?.spec.replicas === 3,
    );
    await stage.isUp(customer);
    await stage.rests(customer);
    expect(proxy.watches.filter(({ request }) => silenced.has(request.id))).toEqual([]);
  },
  3 * LONG_MS,
);
