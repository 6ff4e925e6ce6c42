//! Options of commands that can show a page.

/// A page, if it is asked for, and its port.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PageArgs {
    /// Serve a live page on this machine, with buttons that inject troubles; go on until Ctrl-C
    #[arg(long)]
    pub page: bool,
    /// Port of the page on 127.0.0.1; a free one unless it is given
    #[arg(long, value_name = "PORT", requires = "page", default_value_t = 0, hide_default_value = true)]
    pub page_port: u16,
}
