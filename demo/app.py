"""Show which receptive field a network chooses for an image: an app for a Hugging Face Space, or for your own machine.

Example:
    python app.py
"""

import os
import tempfile

# Read by gradio when it is imported: no usage statistics, and no look for a newer version.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from explained import EXAMPLES, explain_file, open_network, save_examples

TITLE = "Which receptive field does the network choose for your image?"
ABOUT = (
    "Pick or upload two images. The first layer of this network is a Gaussian Mask Convolution: it looks at the whole "
    "image and then chooses a mask for its 3x3 kernels. The other layers have one mask for all images. The network "
    "knows the ten classes of CIFAR-10 and sees every image at 32 x 32 pixels."
)
NO_IMAGE = "Pick an example, or upload an image."
# Fonts of the visitor's own system: nothing is fetched.
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])


def build_app() -> gr.Blocks:
    """Return the app with the first two examples explained."""
    model = open_network()
    examples = save_examples(tempfile.mkdtemp(prefix="gmconv_examples_"))

    def explained(file: str | None) -> tuple:
        if file is None:
            return None, None, None, NO_IMAGE
        try:
            return tuple(explain_file(model, file))
        except ValueError as error:
            raise gr.Error(str(error)) from error

    with gr.Blocks(title="GMConv masks", analytics_enabled=False, delete_cache=(3600, 3600)) as app:
        gr.Markdown(f"# {TITLE}\n{ABOUT}")
        with gr.Row():
            for number, start in enumerate(examples[:2], start=1):
                with gr.Column(min_width=320):
                    _column(number, start, examples, explained, app)
    return app


def _column(number: int, start: str, examples: list[str], explained: object, app: gr.Blocks) -> None:
    """One image with what is said about it; the answers of both columns are computed one after the other."""
    image = gr.Image(
        start, label=f"Image {number}", type="filepath", image_mode=None, sources=["upload", "clipboard"], height=260
    )
    gr.Examples(examples, image, label="Examples", example_labels=list(EXAMPLES))
    classes = gr.Label(label="Most probable classes", num_top_classes=5)
    words = gr.Markdown()
    with gr.Row():
        look = {"show_label": False, "interactive": False, "buttons": [], "format": "png", "min_width": 240}
        mask = gr.Image(alt_text=f"Mask of the first layer for image {number}", **look)
        evidence = gr.Image(alt_text=f"Evidence for the first class of image {number}", **look)
    outputs = [classes, mask, evidence, words]
    once = {"concurrency_limit": 1, "concurrency_id": "network", "api_visibility": "private"}
    gr.on([app.load, image.change], explained, image, outputs, **once)


if __name__ == "__main__":
    build_app().launch(theme=THEME, ssr_mode=False, max_file_size="20mb", show_error=True, footer_links=["gradio"])
