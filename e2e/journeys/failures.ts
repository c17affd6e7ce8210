import type { Stack } from '@felucca/dev/stack';
import { expect, test } from 'vitest';
import { eventually } from './api-client.ts';
import { Actor, needsContainers } from './stack.ts';

/** A product that does not come up must say why, to the one who can do something about it. */
export function failureJourney(stack: () => Stack): void {
  test('a crashing image is shown with its container, its reason and who can fix it', async ({ skip }) => {
    needsContainers(stack(), skip, 'simulated nodes never run a container, so nothing can crash');
    const acme = await Actor.join(stack(), 'crash');
    await acme.order('site', { message: 'x', replicas: 1, crash: true });
    const ready = await eventually(
      'the API names the crash',
      async () => {
        const condition = await acme.condition('site', 'Ready');
        return condition?.reason === 'ChildFailed' && condition;
      },
      120_000,
    );
    expect(ready.status).toBe('False');
    expect(ready.message).toMatch(/CrashLoopBackOff|exit/i);
    await acme.patch('site', { parameters: { message: 'x', replicas: 1, crash: false } });
    await acme.ready('site');
  });

  test('a failing probe keeps the Instance unready and says which one', async ({ skip }) => {
    needsContainers(stack(), skip, 'simulated nodes never run a probe');
    const acme = await Actor.join(stack(), 'probe');
    await acme.order('site', { message: 'x', replicas: 1, failHealth: true });
    const ready = await eventually('the API says that the pod is not ready', async () => {
      const condition = await acme.condition('site', 'Ready');
      return condition?.status === 'False' && condition.message.includes('site-web') && condition;
    });
    expect(ready.message).toMatch(/prob|ready/i);
  });

  test('an image that does not exist is named', async ({ skip }) => {
    needsContainers(stack(), skip, 'simulated nodes never pull an image');
    const acme = await Actor.join(stack(), 'noimage');
    await acme.order('site', { message: 'x', replicas: 1, image: 'felucca/nowhere:1' });
    const ready = await eventually('the API names the image', async () => {
      const condition = await acme.condition('site', 'Ready');
      return /felucca\/nowhere:1|ErrImageNeverPull|ImagePull/.test(condition?.message ?? '') && condition;
    });
    expect(ready.status).toBe('False');
  });
}
