import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCampaign, runPlan } from './campaign.ts';
import { planFrom } from './plans.ts';
import { ResultsFolder } from './results.ts';

/**
 * `node e2e/chaos/campaign/cli.ts`, configured as `make campaign` is: PLAN=<id> reproduces one, SAMPLE=<n> chooses some,
 * SEED, LANES, ONLY=<part of a scenario's name>, FRESH=1 forgets what is known. The last line counts.
 */
const { PLAN = '', SAMPLE = '', SEED = '1', LANES = '3', ONLY = '', FRESH = '' } = process.env;
const say = (line: string): void =>
  void process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${line}\n`);
const repository = fileURLToPath(new URL('../../..', import.meta.url));

// A sample is its own campaign: it must not be answered from an older one.
const name = ['chaos', PLAN && 'plan', SAMPLE && `sample-${SAMPLE}-${SEED}`, ONLY].filter(Boolean).join('-');
const folder = await ResultsFolder.open(join(repository, '.felucca', name), FRESH !== '', say);

if (PLAN !== '') process.exitCode = (await runPlan(planFrom(PLAN), folder.operatorPath, say)) ? 0 : 1;
else {
  const { lines, ok } = await runCampaign({
    folder,
    lanes: Number(LANES),
    sample: SAMPLE === '' ? undefined : Number(SAMPLE),
    seed: Number(SEED),
    only: ONLY,
    say,
  });
  say(`results are in ${folder.resultsPath}`);
  process.stdout.write(`${lines.join('\n')}\n`);
  process.exitCode = ok ? 0 : 1;
}
// All is said: what did not stop in time must not keep this process.
process.exit();
