import { setTimeout as delay } from 'node:timers/promises';
import type { LinkStage } from '@felucca/bench/link/stage';

const FROM_MS = 1_500;
const TO_MS = 6_000;

/** What is done to the control plane while it works; each ends with everything running again. */
const FAULTS = {
  /** As the kernel does it when memory is short. */
  'API process killed': async (stage: LinkStage, random: () => number) => {
    const api = stage.apis[Math.floor(random() * stage.apis.length)]!;
    await api.kill();
    await stage.aim();
    await delay(1_000 * random());
    await api.restart();
    await stage.aim();
  },
  /** As a power cut: whatever was acknowledged must be on the disk. */
  'Postgres killed': async (stage: LinkStage) => {
    await stage.postgres.kill();
    await stage.postgres.restart();
  },
  'connections cut': async (stage: LinkStage) => void (await stage.askAgents('cut', undefined)),
} satisfies Record<string, (stage: LinkStage, random: () => number) => Promise<void>>;

/** One after the other at random moments, until it is told to end. @returns how often each happened */
export async function troubled(
  stage: LinkStage,
  random: () => number,
  isOver: () => boolean,
): Promise<Record<string, number>> {
  const names = Object.keys(FAULTS) as (keyof typeof FAULTS)[];
  const happened: Record<string, number> = {};
  while (!isOver()) {
    await delay(FROM_MS + (TO_MS - FROM_MS) * random());
    const name = names[Math.floor(random() * names.length)]!;
    await FAULTS[name](stage, random);
    happened[name] = (happened[name] ?? 0) + 1;
  }
  return happened;
}
