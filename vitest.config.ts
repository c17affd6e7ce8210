import { defineConfig } from 'vitest/config';
import { forgetServers } from './dev/src/test-environment.ts';

// Before there is a worker that could inherit it.
forgetServers(process.env);

// Five layers. `unit` needs nothing, `real` needs Postgres or a Kubernetes control plane, `machine` real nodes with their
// networks and containers, `journeys` the whole stack, `chaos` breaks it. What mostly waits runs side by side also on two
// cores; what has pods that must be ready in time runs one by one.
const WHOLE_MACHINE = ['dev/test/{up,cluster-nodes,cluster-nodes-kept,helm-nodes,images-in-pods}.test.ts'];
const BINARIES = 'dev/src/binaries/before-tests.ts';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            '*/src/**/*.test.ts',
            'scripts/**/*.test.ts',
            'e2e/chaos/{proxy,campaign,acto,mutants}/**/*.test.ts',
            'e2e/simulation/**/*.test.ts',
          ],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'real',
          include: ['*/test/**/*.test.ts'],
          globalSetup: BINARIES,
          exclude: WHOLE_MACHINE,
          testTimeout: 120_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 1 },
          maxWorkers: 3,
        },
      },
      {
        test: {
          name: 'machine',
          include: WHOLE_MACHINE,
          globalSetup: BINARIES,
          testTimeout: 120_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 2 },
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'journeys',
          include: ['e2e/journeys/**/*.test.ts'],
          globalSetup: BINARIES,
          testTimeout: 300_000,
          hookTimeout: 900_000,
          sequence: { groupOrder: 3 },
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'chaos',
          include: ['e2e/chaos/faults/**/*.test.ts'],
          globalSetup: BINARIES,
          testTimeout: 180_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 4 },
          maxWorkers: 2,
        },
      },
    ],
  },
});
