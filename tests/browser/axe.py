"""What axe-core says of the open page, light and dark."""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# The scheme is switched in place, and what fades is put at its end. Dark only the rules that read
# colours run: the others see the same page twice (a third of the time).
FAULTS = """async () => {
    const schemes = {
        light: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        dark: { type: "rule", values: ["color-contrast", "link-in-text-block"] },
    };
    const found = [];
    for (const [scheme, runOnly] of Object.entries(schemes)) {
        document.documentElement.classList.toggle("dark", scheme === "dark");
        for (const fading of document.getAnimations()) {
            if (fading.effect.getComputedTiming().endTime !== Infinity) fading.finish();
        }
        const options = { runOnly, resultTypes: ["violations"], preload: false };
        for (const { id, impact, nodes } of (await axe.run(document, options)).violations) {
            if (!["serious", "critical"].includes(impact)) continue;
            const { message } = [...nodes[0].any, ...nodes[0].all, ...nodes[0].none][0];
            found.push(`${scheme}: ${id} (${nodes.length}): ${message}: ${nodes[0].html.slice(0, 160)}`);
        }
    }
    document.documentElement.classList.remove("dark");
    return found;
}"""


def violations(page: Page) -> list[str]:
    """What axe-core calls serious or critical, one line for each scheme and rule."""
    page.evaluate(AXE_SCRIPT)
    return [f"{page.url}: {fault}" for fault in page.evaluate(FAULTS)]
